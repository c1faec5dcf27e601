from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipeline.core.errors import IntegrityError
from pipeline.evaluation.parity import Parity, ParityLimit
from pipeline.lowering.backend import Backend, Program, TensorSpec
from pipeline.lowering.capture import capture
from pipeline.lowering.litert.backend import LiteRt
from pipeline.lowering.refusal import NotLoweredError
from pipeline.lowering.registry import backend_for
from pipeline.lowering.store import ProgramStore, content_key, features_key
from pipeline.lowering.units import Unit, one_by_one, units_of
from pipeline.lowering.worker import lower_unit
from pipeline.model.convolution import ConvNorm, PooledLinear
from pipeline.model.family import build_model
from pipeline.model.route import Role, UnitId, prefix_routes
from pipeline.settings import LoweringSettings, ResNetModel, ResNetSettings
from tests.lowering.operator_table import ChannelNorm

SETTINGS = LoweringSettings()


def trained_norms(module: nn.Module) -> nn.Module:
    """Gives batch normalizations statistics that are not the neutral ones."""
    torch.manual_seed(0)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean = torch.randn(part.num_features) * 0.2
            part.running_var = torch.rand(part.num_features) + 0.5
            nn.init.uniform_(part.weight, 0.7, 1.3)
            nn.init.uniform_(part.bias, -0.1, 0.1)
    return module.eval()


def conv() -> nn.Module:
    torch.manual_seed(1)
    return trained_norms(nn.Sequential(ConvNorm(3, 6), ConvNorm(6, 8, stride=2, activate=False)))


def captured(module: nn.Module) -> nn.Module:
    return capture(module, torch.randn(1, 3, 8, 8), "unit")


class Odd(nn.Module):
    """An operator that XNNPACK does not take, in the middle of some that it does."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3)

    def forward(self, images: Tensor) -> Tensor:
        result: Tensor = self.second(torch.atan2(self.first(images), self.first(images) + 1))
        return result


def test_what_programs_are_held_against_is_computed_in_one_thread() -> None:
    class Counting(nn.Module):
        def forward(self, features: Tensor) -> Tensor:
            threads.append(torch.get_num_threads())
            return features

    threads: list[int] = []
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        one_by_one(Counting(), torch.zeros(3, 1))
        assert threads == [1, 1, 1]
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_units_carry_the_real_features_that_reach_them() -> None:
    settings = ResNetModel(
        family="resnet",
        teacher=ResNetSettings(stem=8, widths=(8, 12), depths=(1, 1)),
        student=ResNetSettings(stem=4, widths=(4, 6), depths=(1, 1)),
    )
    model = build_model(settings, (1, 8, 8), classes=3, seed=0).eval()
    images = torch.randn(3, 1, 8, 8)
    units, logits = units_of(model, prefix_routes(2), images)
    encoder = units[UnitId(Role.ENCODER, 0)]
    assert torch.equal(encoder.inputs, units[UnitId(Role.TEACHER, 0)].outputs)
    assert torch.equal(units[UnitId(Role.TEACHER, 1)].inputs, encoder.inputs)
    with torch.no_grad():
        assert torch.allclose(logits[0], model.student(images), atol=1e-5)
        assert torch.allclose(logits[2], model.teacher(images), atol=1e-5)


@pytest.fixture(params=["executorch", "litert"])
def backend(request: pytest.FixtureRequest) -> Backend:
    return backend_for(LoweringSettings(backend=request.param))


@pytest.mark.parametrize("channels", [1, 3])
def test_a_lowered_program_computes_what_eager_pytorch_computes(
    channels: int, backend: Backend
) -> None:
    module = trained_norms(nn.Sequential(ConvNorm(channels, 6), ConvNorm(6, 8, stride=2)))
    images = torch.randn(3, channels, 8, 8)
    folded = capture(module, images[:1], "unit")
    program = backend.lower(folded, images[:1], "unit")
    with torch.no_grad():
        parity = Parity.of(backend.run([program.data], images).numpy(), module(images).numpy())
    assert parity.max_rel < 1e-5
    assert parity.inputs == 3
    convolutions = {"executorch": "convolution", "litert": "CONV_2D"}[backend.spec.name]
    assert program.operators[convolutions] + program.operators.get("DEPTHWISE_CONV_2D", 0) == 2
    assert program.delegated == sum(program.operators.values())


@pytest.mark.parametrize(("source", "target"), [(1, 1), (1, 8), (3, 1)])
def test_features_of_one_pixel_or_one_channel_pass_from_program_to_program(
    source: int, target: int, backend: Backend
) -> None:
    torch.manual_seed(0)
    first = ConvNorm(source, target, stride=2).eval()  # 2x2 to 1x1
    second = nn.Sequential(ConvNorm(target, 6, stride=2), PooledLinear(6, 5)).eval()
    images = torch.randn(3, source, 2, 2)
    with torch.no_grad():
        features = first(images)
        programs = [
            backend.lower(capture(first, images[:1], "first"), images[:1], "first"),
            backend.lower(capture(second, features[:1], "second"), features[:1], "second"),
        ]
        found = backend.run([program.data for program in programs], images)
        assert torch.allclose(found, second(features), atol=1e-5)


def test_lowering_the_same_twice_gives_the_same_bytes(backend: Backend) -> None:
    images = torch.randn(1, 3, 8, 8)
    folded = captured(conv())
    first, second = (backend.lower(folded, images, "unit").data for _ in range(2))
    assert first == second


def test_a_module_with_an_operator_outside_the_delegate_is_refused_by_operator(
    backend: Backend,
) -> None:
    image = torch.randn(1, 3, 8, 8)
    graph = capture(Odd().eval(), image, "odd-unit", {"": "teacher.blocks.1"})
    with pytest.raises(NotLoweredError) as refused:
        backend.lower(graph, image, "odd-unit")
    assert [refusal.path for refusal in refused.value.refusals] == ["teacher.blocks.1"]
    assert refused.value.refusals[0].operator.startswith("atan2")
    assert "docs/operators.md" in refused.value.remedy


def test_an_operator_that_litert_s_interpreter_lacks_is_named_with_its_place() -> None:
    class Largest(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images.topk(2, dim=1).values

    image = torch.randn(1, 3, 8, 8)
    graph = capture(Largest().eval(), image, "unit", {"": "teacher.blocks.1"})
    with pytest.raises(NotLoweredError, match=r"topk \(STABLEHLO_SORT\) in teacher\.blocks\.1"):
        LiteRt().lower(graph, image, "unit")


def test_a_litert_program_names_no_python_class() -> None:
    program = LiteRt().lower(captured(conv()), torch.randn(1, 3, 8, 8), "unit")
    for word in (b"torch", b"Conv2d", b"__main__", b"pipeline"):
        assert word not in program.data


def test_a_litert_unit_that_transposes_at_its_edge_is_refused() -> None:
    class Sideways(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return torch.softmax(images.flatten(2), dim=-1)

    image = torch.randn(1, 3, 4, 4)
    with pytest.raises(NotLoweredError, match=r"TRANSPOSE.* in sideways") as refused:
        LiteRt().lower(capture(Sideways().eval(), image, "sideways"), image, "sideways")
    assert "edges stay channels last" in refused.value.remedy


@pytest.mark.parametrize("activation", [nn.GELU(), nn.GELU("tanh"), nn.Hardswish()])
def test_a_permutation_cancels_with_the_edges_across_an_activation(activation: nn.Module) -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), ChannelNorm(4), activation).eval()
    image = torch.randn(1, 3, 8, 8)
    program = LiteRt().lower(captured(module), image, "unit")
    assert "TRANSPOSE" not in program.operators
    with torch.no_grad():
        assert torch.allclose(LiteRt().run([program.data], image), module(image), atol=1e-5)


def test_a_head_with_pooling_needs_no_transposition() -> None:
    head = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5)
    ).eval()
    program = LiteRt().lower(captured(head), torch.randn(1, 3, 8, 8), "head")
    assert set(program.operators) == {"CONV_2D", "MEAN", "FULLY_CONNECTED"}


def test_a_deviating_program_is_refused_with_its_deviation(tmp_path: Path) -> None:
    module, images = conv(), torch.randn(2, 3, 8, 8)
    with torch.no_grad():
        wrong = module(images) + 0.01
    unit = Unit("unit", capture(module, images[:1], "unit"), images, wrong)
    store = ProgramStore(tmp_path, ".pte")
    with pytest.raises(IntegrityError, match="unit deviates from eager PyTorch by"):
        lower_unit(SETTINGS, store, "key", "features", unit)
    assert store.program("key") is None


def test_a_program_that_is_right_on_the_golden_images_alone_is_refused(tmp_path: Path) -> None:
    module, images = conv(), torch.randn(2, 3, 8, 8)
    with torch.no_grad():
        right, probe = module(images), images[:1] * 5
        unit = Unit("unit", captured(module), images, right, probes=[(probe, module(probe) + 1)])
    with pytest.raises(IntegrityError, match="unit, probed, deviates"):
        lower_unit(SETTINGS, ProgramStore(tmp_path, ".pte"), "key", "features", unit)


def test_units_are_probed_with_other_values_than_those_of_images() -> None:
    settings = ResNetModel(
        family="resnet",
        teacher=ResNetSettings(stem=8, widths=(8, 12), depths=(1, 1)),
        student=ResNetSettings(stem=4, widths=(4, 6), depths=(1, 1)),
    )
    model = build_model(settings, (1, 8, 8), classes=3, seed=0).eval()
    units, _ = units_of(model, prefix_routes(2), torch.randn(3, 1, 8, 8))
    for unit in units.values():
        (wide, outputs), (small, _) = unit.probes
        assert wide.std() > 2 * unit.inputs.std() > 4 * small.std()
        with torch.no_grad():
            assert torch.equal(unit.module(wide), outputs)


def test_parity_counts_nan_as_infinitely_far() -> None:
    reference = np.ones((2, 3), np.float32)
    outputs = reference.copy()
    outputs[1, 1] = np.nan
    parity = Parity.of(outputs, reference)
    assert (parity.max_rel, parity.sqnr_db) == (np.inf, -200)
    for limit in (ParityLimit(1e9), ParityLimit(1e9, least_sqnr_db=-1e9)):
        with pytest.raises(IntegrityError, match="unit"):
            limit.require(parity, "unit")


def test_edges_are_described_in_memory_order() -> None:
    assert TensorSpec.of(torch.zeros(5, 3, 8, 7)) == TensorSpec((1, 8, 7, 3), "NHWC")
    assert TensorSpec.of(torch.zeros(5, 10)) == TensorSpec((1, 10), "NC")
    assert TensorSpec.of(torch.zeros(5, 4, 12)) == TensorSpec((1, 4, 12), "NTC")


def keep(store: ProgramStore) -> None:
    edges = (TensorSpec((1, 2), "NC"), TensorSpec((1, 3), "NC"))
    program = Program(b"program", {"linear": 1}, 1)
    store.keep("key", program, edges)
    store.keep_parity("key", "features", Parity(0.1, 0.2, 3, 14.0))


def test_the_store_gives_back_what_it_keeps(tmp_path: Path) -> None:
    store = ProgramStore(tmp_path, ".pte")
    assert store.find("key", "features") is None
    keep(store)
    assert store.find("key", "others") is None
    assert store.program("key") == Program(b"program", {"linear": 1}, 1)
    found = store.find("key", "features")
    assert found is not None
    assert found.path.read_bytes() == b"program"
    assert (found.bytes, found.operators, found.parity) == (
        7,
        {"linear": 1},
        Parity(0.1, 0.2, 3, 14.0),
    )


@pytest.mark.parametrize("damage", ["program", "record", "record-cut", "record-keys", "parity"])
def test_the_store_forgets_what_is_damaged(tmp_path: Path, damage: str) -> None:
    store = ProgramStore(tmp_path, ".pte")
    keep(store)
    record = tmp_path / "key.json"
    match damage:
        case "program":
            (tmp_path / "key.pte").write_bytes(b"progrxm")
        case "record":
            record.write_text("[]")
        case "record-cut":
            record.write_text(record.read_text()[:-5])
        case "record-keys":
            kept = json.loads(record.read_text())
            del kept["operators"]
            record.write_text(json.dumps(kept))
        case "parity":
            (tmp_path / "key-features.json").write_text("{}")
    assert store.find("key", "features") is None
    assert (store.program("key") is None) == (damage != "parity")


def test_what_was_compared_on_other_features_is_compared_and_not_lowered_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, images = conv(), torch.randn(2, 3, 8, 8)
    graph, store = captured(module), ProgramStore(tmp_path, ".pte")
    with torch.no_grad():
        _, first = lower_unit(
            SETTINGS, store, "key", "features", Unit("unit", graph, images, module(images))
        )
        monkeypatch.setattr(type(backend_for(SETTINGS)), "lower", None)
        others = images * 2
        unit = Unit("unit", graph, others, module(others))
        wrong = Unit("unit", graph, others, module(others) + 0.1)
    _, second = lower_unit(SETTINGS, store, "key", "others", unit)
    assert second.sha256 == first.sha256
    assert second.parity != first.parity
    with pytest.raises(IntegrityError, match="unit deviates"):
        lower_unit(SETTINGS, store, "key", "wrong", wrong)


def test_the_key_of_a_program_follows_its_graph_weights_shape_and_context() -> None:
    inputs, outputs = torch.randn(2, 3, 8, 8), torch.randn(2, 8, 4, 4)
    folded = captured(conv())
    base = content_key(folded, inputs, "1.5.1")
    assert base == content_key(captured(conv()), inputs[:1] + 1, "1.5.1")
    assert base != content_key(folded, inputs, "1.5.2")
    assert base != content_key(folded, inputs[:, :, 1:], "1.5.1")
    compared = features_key(inputs, outputs)
    assert compared == features_key(inputs.clone(), outputs)
    assert compared not in {features_key(inputs + 1, outputs), features_key(inputs, outputs + 1)}
    torch.manual_seed(1)
    activated = trained_norms(nn.Sequential(ConvNorm(3, 6), ConvNorm(6, 8, stride=2)))
    assert base != content_key(captured(activated), inputs, "1.5.1")
    with torch.no_grad():
        next(iter(folded.buffers())).flatten()[0] += 1e-6
    assert base != content_key(folded, inputs, "1.5.1")
