"""Squeeze and excitation, and heads, as people write them: each is one delegate on each backend."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.lowering.backend import Backend
from pipeline.lowering.fold import fold_batch_norms
from pipeline.lowering.parity import Parity
from pipeline.lowering.registry import backend_for
from pipeline.lowering.spelling import respelt
from pipeline.settings import LoweringSettings


@pytest.fixture(params=["executorch", "litert"])
def backend(request: pytest.FixtureRequest) -> Backend:
    return backend_for(LoweringSettings(backend=request.param))


class SqueezeExcitation(nn.Module):
    def __init__(
        self, squeeze: Callable[[Tensor], Tensor], gate: Callable[[Tensor], Tensor]
    ) -> None:
        super().__init__()
        self.squeeze, self.gate = squeeze, gate
        self.narrow, self.widen = nn.Conv2d(8, 4, 1), nn.Conv2d(8 // 2, 8, 1)

    def forward(self, features: Tensor) -> Tensor:
        narrow = F.relu(self.narrow(self.squeeze(features)))
        return features * self.gate(self.widen(narrow))


class Head(nn.Module):
    def __init__(self, squeeze: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.squeeze, self.linear = squeeze, nn.Linear(8, 5)

    def forward(self, features: Tensor) -> Tensor:
        logits: Tensor = self.linear(self.squeeze(features))
        return logits


MODULES = {
    "modules": SqueezeExcitation(nn.AdaptiveAvgPool2d(1), nn.Hardsigmoid()),
    "functions": SqueezeExcitation(lambda x: F.adaptive_avg_pool2d(x, (1, 1)), F.hardsigmoid),
    "means": SqueezeExcitation(lambda x: torch.mean(x, (2, 3), keepdim=True), torch.sigmoid),
    "head": Head(lambda x: x.mean([2, 3])),
    "head-keyword": Head(lambda x: x.mean(dim=(3, 2))),
}


@pytest.mark.parametrize("name", MODULES)
def test_a_unit_with_it_is_one_delegate_that_agrees_with_pytorch(
    name: str, backend: Backend
) -> None:
    torch.manual_seed(0)
    convolution = nn.Conv2d(8, 8, 3, padding=1)
    nn.init.normal_(convolution.weight)  # so that gates are open, half open and shut
    module = nn.Sequential(convolution, MODULES[name]).eval()
    images = torch.randn(3, 8, 6, 6)
    folded = fold_batch_norms(module, name)
    program = backend.lower(folded, images[:1], name)
    with torch.no_grad():
        assert Parity.of(backend.run([program.data], images), module(images)).max_rel < 1e-5


@pytest.mark.parametrize(
    "other",
    [
        lambda x: x.mean((1, 2)),
        lambda x: x.mean(1, keepdim=True),
        lambda x: x.mean(),
        lambda x: x.mean((2, 3), dtype=torch.float64),
        lambda x: F.adaptive_avg_pool2d(x, 2),
    ],
)
def test_other_means_stay_as_they_are(other: Callable[[Tensor], Tensor]) -> None:
    class Other(nn.Module):
        def forward(self, features: Tensor) -> Tensor:
            return other(features)

    traced = torch.fx.symbolic_trace(Other())
    assert respelt(traced) is traced


def test_what_is_not_traced_stays_as_it_is() -> None:
    module = nn.AdaptiveAvgPool2d(1)
    assert respelt(module) is module
