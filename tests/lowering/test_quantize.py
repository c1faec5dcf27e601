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
from pipeline.lowering.litert.flatbuffer import WeightedLayer
from pipeline.lowering.litert.quantize import int8_pays
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


def int8_kernels(*layers: nn.Module) -> dict[tuple[int, ...], bool]:
    """Which kernels, by shape, are int8 on LiteRT, of a unit that reads images of 24x24x3."""
    from ai_edge_litert import schema_py_generated as schema

    torch.manual_seed(0)
    features = torch.randn(1, 3, 24, 24)
    backend = backend_for(LoweringSettings(backend=("litert",)))
    captured = capture(nn.Sequential(*layers).eval(), features, "unit")
    quantization = Quantization("int8", None).resolved(captured, backend.spec, "unit")
    data = backend.lower(captured, features, "unit", quantization).data
    (graph,) = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0)).subgraphs
    kernels = [graph.tensors[node.inputs[1]] for node in graph.operators if len(node.inputs) == 3]
    return {tuple(map(int, each.shape)): each.type == schema.TensorType.INT8 for each in kernels}


def test_litert_s_layers_with_few_weights_for_many_pixels_stay_float32() -> None:
    found = int8_kernels(
        nn.Conv2d(3, 16, 3, padding=1),  # 432 weights for 1,728 values
        nn.Conv2d(16, 8, 1),  # 128 for 9,216
        nn.Conv2d(8, 80, 1),  # 640 for 4,608, with more multiplications than preparation
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(80, 10),
    )
    kernels = [(16, 3, 3, 3), (8, 1, 1, 16), (80, 1, 1, 8), (10, 80)]
    assert found == dict(zip(kernels, [True, False, True, True], strict=True))


def test_a_unit_by_litert_s_int8_recipe_has_int8_weights() -> None:
    found = int8_kernels(nn.Conv2d(3, 8, 1), nn.Conv2d(8, 16, 1))
    assert found == {(8, 1, 1, 3): False, (16, 1, 1, 8): True}


@pytest.mark.parametrize(
    ("layer", "pays"),
    [
        (WeightedLayer("", weights=2352, channels=3, values=158700, products=29_503_488), False),
        (WeightedLayer("", weights=384, channels=8, values=100352, products=4_816_896), False),
        (WeightedLayer("", weights=2304, channels=16, values=50176, products=7_225_344), True),
        (WeightedLayer("", weights=1536, channels=16, values=12544, products=1_204_224), True),
        (WeightedLayer("", weights=1000, channels=4, values=4, products=1000), True),
    ],
    ids=["a stem's three channels", "an expansion", "3x3", "many weights", "a head"],
)
def test_what_int8_saves_a_layer_on_litert(layer: WeightedLayer, pays: bool) -> None:
    assert int8_pays(layer) == pays


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
