from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from pipeline.core.progress import Silent
from pipeline.settings import OptimizerSettings
from pipeline.training.fit import Phase, fit
from pipeline.training.pointwise import subsampled

#: On processors with AVX2 alone these crash a process whose convolutions compute the gradient.
TRAINS = """
import torch
from pathlib import Path
from tests.training.test_pointwise import train
train(Path({folder!r}))
"""


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 3, 1, stride=2), nn.Conv2d(3, 4, 3, stride=2), nn.Conv2d(4, 5, 1)
    ).to(memory_format=torch.channels_last)


def outcome(module: nn.Module) -> list[Tensor]:
    module.zero_grad()
    inputs = torch.randn(4, 2, 15, 14, generator=torch.Generator().manual_seed(1))
    outputs: Tensor = module(inputs)
    return [outputs, *torch.autograd.grad(outputs.square().sum(), list(module.parameters()))]


def test_what_is_computed_and_its_gradients_are_the_same() -> None:
    module = network()
    with torch.backends.mkldnn.flags(enabled=False):
        wanted = outcome(module)
    with subsampled(module, wanted=True):
        found = outcome(module)
        assert [conv.stride for conv in module if isinstance(conv, nn.Conv2d)] == [
            (1, 1),
            (2, 2),
            (1, 1),
        ]
    for one, other in zip(found, wanted, strict=True):
        assert torch.allclose(one, other, rtol=1e-4, atol=1e-4)


def test_afterwards_the_convolutions_are_as_they_were() -> None:
    module = network()
    with subsampled(module, wanted=True):
        pass
    assert [conv.stride for conv in module if isinstance(conv, nn.Conv2d)] == [
        (2, 2),
        (2, 2),
        (1, 1),
    ]
    assert not any(part._forward_pre_hooks for part in module.modules())


def train(folder: Path) -> None:
    """Strided 1x1 convolutions of few channels, for some steps."""
    torch.manual_seed(0)
    pairs = [(2, 3), (6, 8), (3, 4), (4, 6), (5, 7)]
    module = nn.ModuleList(nn.Conv2d(i, o, 1, stride=2) for i, o in pairs)
    module = module.to(memory_format=torch.channels_last)
    images = {i: torch.randn(128, i, 14, 14) for i, _ in pairs}

    def step(indices: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        for number, (convolution, (channels, _)) in enumerate(zip(module, pairs, strict=True)):
            features = images[channels].to(memory_format=torch.channels_last)
            found[str(number)] = convolution(features).square().mean()
        return found

    phase = Phase("test", "test", module, [(list(module.parameters()), 1.0)], 4, 0, folder / "c")
    fit(phase, OptimizerSettings(epochs=40, batch_size=4), step, Silent())


def test_shortcuts_of_few_channels_train_on_any_processor(tmp_path: Path) -> None:
    code = TRAINS.format(folder=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
