"""What the recipes make of small units, run on this machine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from pipeline.core.errors import IntegrityError, UsageError
from pipeline.core.progress import Silent
from pipeline.core.work import Work
from pipeline.evaluation.parity import Parity
from pipeline.lowering import worker
from pipeline.lowering.backend import Backend, Program
from pipeline.lowering.capture import capture
from pipeline.lowering.lowering_target import LoweringTarget
from pipeline.lowering.precision import Quantization
from pipeline.lowering.preflight import PreflightScope, preflight
from pipeline.lowering.registry import backend_for
from pipeline.lowering.store import ProgramStore
from pipeline.lowering.units import Unit
from pipeline.model.resnet import resnet
from pipeline.settings import LoweringSettings, PrecisionSettings, ResNetSettings
from tests.lowering.test_precision import Tokens
from tests.lowering.test_preflight import IMAGE, plain
from tests.toy_backend import Toy

EXECUTORCH = LoweringSettings(backend=("executorch",))


def lowered(module: nn.Module, features: Tensor) -> tuple[Program, Parity]:
    """A unit by int8 on ExecuTorch, and its parity on what it was calibrated on."""
    backend: Backend = backend_for(EXECUTORCH)
    captured = capture(module.eval(), features[:1], "unit")
    quantization = Quantization("int8", features).resolved(captured, backend.spec, "unit")
    program = backend.lower(captured, features[:1], "unit", quantization)
    with torch.no_grad():
        return program, Parity.of(
            backend.run([program.data], features).numpy(), module(features).numpy()
        )


def test_the_means_of_a_normalization_stay_float32() -> None:
    torch.manual_seed(0)
    program, parity = lowered(Tokens(), torch.randn(4, 5, 8))
    assert parity.sqnr_db > 30
    assert program.operators["choose_qparams"] == 1  # of the linear layer alone


def test_a_unit_that_ends_with_a_convolution_runs() -> None:
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 3, 1))
    program, parity = lowered(layers, torch.randn(4, 2, 6, 6))
    assert parity.sqnr_db > 25
    assert program.operators["dequantize_per_channel"] == 2


def test_a_stem_that_pools_runs() -> None:
    torch.manual_seed(0)
    settings = ResNetSettings(stem=4, stem_pool=True, widths=(4,), depths=(1,))
    program, parity = lowered(resnet(settings, 1, 3).part(0), torch.randn(4, 1, 16, 16))
    assert parity.sqnr_db > 20
    assert program.operators["max_pool2d"] == 1


def test_a_program_that_lowers_and_does_not_run_is_refused_and_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing(Toy):
        def run(self, chain: list[bytes], inputs: Tensor) -> Tensor:
            raise RuntimeError("method->execute() failed with error 0x10")

    monkeypatch.setattr(worker, "backend_for", lambda settings: Failing())
    features = torch.randn(1, 2, 4, 4)
    unit = Unit("unit", capture(nn.Conv2d(2, 2, 1).eval(), features, "unit"), features, features)
    unit = replace(unit, quantization=Quantization("static_wi8_ai8", features))
    with pytest.raises(UsageError, match=r"unit cannot be lowered: .*0x10"):
        worker.lower_unit(EXECUTORCH, ProgramStore(tmp_path, ".pte"), "key", "features", unit)
    assert not list(tmp_path.iterdir())


def test_a_quantized_program_is_held_against_its_noise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "backend_for", lambda settings: Toy())
    features = torch.ones(1, 2, 4, 4)
    captured = capture(nn.Flatten().eval(), features, "unit")
    # By 3 % everywhere: no float32 program may, 30 dB may.
    unit = Unit("unit", captured, features, features.flatten(1) * 1.03)
    quantized = replace(unit, quantization=Quantization("static_wi8_ai8", features))
    store = ProgramStore(tmp_path, ".pte")
    _, found = worker.lower_unit(EXECUTORCH, store, "key", "features", quantized)
    assert found.precision == "static_wi8_ai8"
    assert found.parity.sqnr_db == pytest.approx(30.7, abs=0.1)
    strict = PrecisionSettings(least_sqnr_db=31)
    settings = EXECUTORCH.model_copy(update={"precision": strict})
    with pytest.raises(IntegrityError, match="unit, quantized"):
        worker.lower_unit(settings, store, "key", "features", quantized)
    with pytest.raises(IntegrityError, match="unit deviates"):
        worker.lower_unit(EXECUTORCH, store, "key", "features", unit)


def test_the_preflight_lowers_int8_before_anything_is_trained(tmp_path: Path) -> None:
    def fly(backend: str, recipe: str) -> None:
        precision = PrecisionSettings(student=(recipe,))
        settings = LoweringSettings(backend=(backend,), precision=precision)
        targets = [LoweringTarget(settings, {"exporter": "1"})]
        preflight(
            plain(), IMAGE, PreflightScope(["prefix"]), targets, Work(tmp_path, Silent(), jobs=1)
        )

    with pytest.raises(UsageError, match=r"nothing was trained(.|\n)*no recipe 'static_wi8_ai8'"):
        fly("litert", "static_wi8_ai8")
    fly("executorch", "int8")


@pytest.mark.parametrize(
    ("layers", "features"),
    [
        (nn.Sequential(nn.Conv2d(2, 64, 1), nn.Conv2d(64, 64, 3)), torch.ones(2, 2, 4, 4)),
        (nn.Linear(192, 192), torch.ones(2, 3, 192)),
    ],
    ids=["static", "dynamic"],
)
def test_the_weights_are_there_in_int8_alone(layers: nn.Module, features: Tensor) -> None:
    """Beside them are scales, and a few kB of the graph and its conversions."""
    program, _ = lowered(layers, features)
    weights = sum(tensor.numel() for tensor in layers.parameters())
    assert weights < len(program.data) < 1.5 * weights
