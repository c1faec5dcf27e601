"""Which precision and recipe a unit gets, what calibrates it, and what its noise may be."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipeline.core.decibels import decibels
from pipeline.core.errors import IntegrityError, UsageError
from pipeline.core.fingerprint import fingerprint
from pipeline.data.images import Dataset, ImageSet
from pipeline.data.normalization import Normalization
from pipeline.evaluation.parity import Parity, ParityLimit
from pipeline.lowering.calibration import Calibration
from pipeline.lowering.capture import capture
from pipeline.lowering.precision import Quantization, precisions_of
from pipeline.model.blocknet import BlockNet
from pipeline.model.pwl import PwlModel
from pipeline.model.route import Role, UnitId, Variant, prefix_routes
from pipeline.schedule.order import routes_of
from pipeline.settings import (
    BACKENDS,
    RECIPES,
    BackendSpec,
    PrecisionSettings,
    Settings,
    allowed_precisions,
    for_backends,
)
from tests.fixtures import TINY_PROFILE, settings_from
from tests.toy_backend import SPEC

EXECUTORCH, LITERT = BACKENDS["executorch"], BACKENDS["litert"]


def settings(tmp_path: Path, text: str) -> Settings:
    return settings_from(TINY_PROFILE + text, tmp_path)


def precision(tmp_path: Path, text: str) -> PrecisionSettings:
    return settings(tmp_path, text).lowering.precision


def test_one_name_is_for_all_blocks_of_both_networks(tmp_path: Path) -> None:
    found = precision(tmp_path, '[lowering]\nprecision = "int8"')
    assert set(precisions_of(found, 3).values()) == {"int8"}
    assert str(found) == "int8"


def test_a_list_names_each_block(tmp_path: Path) -> None:
    text = '[lowering.precision]\nstudent = "int8"\nteacher = ["fp32", "int8", "fp32"]'
    found = precisions_of(precision(tmp_path, text), 3)
    assert {str(unit) for unit, name in found.items() if name == "int8" and unit == unit.plain} == {
        *("student-0", "student-1", "student-2", "teacher-1")
    }
    assert UnitId(Role.ENCODER, 0) not in found


def test_a_list_for_another_number_of_blocks_is_refused(tmp_path: Path) -> None:
    found = precision(tmp_path, '[lowering.precision]\nteacher = ["fp32", "int8"]')
    with pytest.raises(UsageError, match=r"precision\.teacher names 2 blocks, the model has 3"):
        precisions_of(found, 3)


def test_a_precision_that_nobody_knows_is_refused_by_its_key(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"lowering\.precision\.student.*'int4'"):
        precision(tmp_path, '[lowering.precision]\nstudent = "int4"')


@pytest.mark.parametrize(
    ("plan", "student", "first", "teacher", "said"),
    [
        ("S32->T32", "fp32", None, "fp32", "fp32"),
        ("S8->T32", "int8", None, "fp32", "student int8, teacher fp32"),
        ("S8->T8", "int8", None, "int8", "int8"),
        ("S8->T8->T32", "int8", "int8", "fp32", "student int8, teacher int8 then fp32"),
        ("S32->T8->T32", "fp32", "int8", "fp32", "student fp32, teacher int8 then fp32"),
    ],
)
def test_a_plan_names_the_precisions_of_all_arrivals(
    plan: str, student: str, first: str | None, teacher: str, said: str, tmp_path: Path
) -> None:
    found = precision(tmp_path, f'[lowering.precision]\nplan = "{plan}"')
    assert (found.student, found.teacher) == ((student,), (teacher,))
    assert found.first_teacher == first
    assert found.quantized == (plan != "S32->T32")
    assert str(found) == said
    assert found == precision(tmp_path, f'[lowering]\nprecision = "{plan}"')
    assert PrecisionSettings.model_validate(found.model_dump(mode="json")) == found


def test_auto_may_quantize() -> None:
    found = PrecisionSettings(plan="auto")
    assert found.quantized
    assert str(found) == "auto"
    assert found.planned("S8->T32") == PrecisionSettings(plan="S8->T32")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('plan = "S8->T16"', "precision.plan: .*; did you mean 'S8->T(32|8)'"),
        ('plan = "aut"', "precision.plan: .*; did you mean 'auto'"),
        ('plan = "S8->T8->T32"\nstudent = "int8"', "precision: plan says .*: leave student out"),
        ('plan = "auto"\nteacher = "fp32"', "precision: plan says .*: leave teacher out, or plan"),
        ("plan = 8", "precision.plan: input should be"),
    ],
)
def test_a_plan_that_is_none_or_contradicts_is_refused(
    text: str, said: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=said):
        precision(tmp_path, f"[lowering.precision]\n{text}")


def test_a_ladder_needs_a_backend_with_int8(tmp_path: Path) -> None:
    found = settings(tmp_path, '[lowering]\nprecision = "S32->T8->T32"')
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(BACKENDS, SPEC.name, SPEC)
        with pytest.raises(UsageError, match="asks for int8, which toy does not have"):
            for_backends(found, (SPEC.name,))


@pytest.mark.parametrize(
    ("said", "role", "allowed"),
    [
        ("fp32", "student", {"fp32"}),
        ("int8", "teacher", {"int8", *RECIPES}),
        ("student static_wi8_ai8, teacher fp32/int8", "student", {"static_wi8_ai8"}),
        ("student int8, teacher int8/fp32", "teacher", {"fp32", "int8", *RECIPES}),
        ("student int8, teacher int8 then fp32", "teacher", {"fp32"}),
        ("student int8, teacher int8 then fp32", "teacher-int8", {"int8", *RECIPES}),
        ("student int8, teacher fp32", "teacher-int8", {""}),
        ("int8", "encoder", {"fp32"}),
        ("anything", "teacher", {"anything"}),
    ],
)
def test_what_a_bundle_says_of_its_networks_tells_what_programs_may_compute_with(
    said: str, role: str, allowed: set[str]
) -> None:
    assert allowed_precisions(said, role) == allowed


def test_a_float32_profile_has_the_name_that_it_had(tmp_path: Path) -> None:
    plain = settings(tmp_path, '[lowering]\nprecision = "fp32"')
    assert plain.model_dump(mode="json")["lowering"]["precision"] == "fp32"
    assert fingerprint(plain) == fingerprint(settings(tmp_path, ""))
    assert not plain.quantized


def test_an_arm_alone_quantizes_a_profile(tmp_path: Path) -> None:
    arm = '[[arm]]\nname = "teacher8"\nroute = "teacher"\nprecision = "int8"'
    assert settings(tmp_path, arm).quantized


class Tokens(nn.Module):
    """A linear layer behind a normalization."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(8)
        self.linear = nn.Linear(8, 8)

    def forward(self, tokens: Tensor) -> Tensor:
        found: Tensor = self.linear(self.norm(tokens))
        return found


CONVOLUTIONS = (nn.Conv2d(2, 4, 3, padding=1), torch.ones(1, 2, 6, 6))
TOKENS = (Tokens(), torch.ones(1, 5, 8))


@pytest.mark.parametrize(
    ("unit", "backend", "recipe"),
    [
        (CONVOLUTIONS, EXECUTORCH, "static_wi8_ai8"),
        (TOKENS, EXECUTORCH, "dynamic_wi8_afp32"),
        (CONVOLUTIONS, LITERT, "dynamic_wi8_afp32"),
        (TOKENS, LITERT, "dynamic_wi8_afp32"),
    ],
)
def test_int8_takes_the_recipe_that_suits_a_unit(
    unit: tuple[nn.Module, Tensor], backend: BackendSpec, recipe: str
) -> None:
    module, example = unit
    captured = capture(module.eval(), example, "unit")
    found = Quantization("int8", example).resolved(captured, backend, "unit")
    assert found.recipe == recipe
    assert (found.calibration is None) == (recipe == "dynamic_wi8_afp32")


def test_a_recipe_that_a_backend_has_not_is_refused_with_those_that_it_has() -> None:
    static = Quantization("static_wi8_ai8", None)
    with pytest.raises(UsageError, match="litert has no recipe 'static_wi8_ai8'") as refused:
        static.resolved(nn.Identity(), LITERT, "unit")
    assert "dynamic_wi8_afp32" in refused.value.remedy
    with pytest.raises(UsageError, match="toy has no recipe 'int8'"):
        Quantization("int8", None).resolved(nn.Identity(), SPEC, "unit")


def test_features_of_all_routes_calibrate_in_turn() -> None:
    def times(factor: float) -> nn.Module:
        layer = nn.Conv2d(1, 1, 1, bias=False)
        nn.init.constant_(layer.weight, factor)
        return layer

    def network(factor: float) -> BlockNet:
        return BlockNet(nn.Identity(), [times(factor), times(factor)], nn.Flatten())

    model = PwlModel(network(3), network(2), [nn.Identity()], [nn.Identity()]).eval()
    images = torch.ones(4, 1, 1, 1)
    student, teacher = UnitId(Role.STUDENT, 1), UnitId(Role.TEACHER, 1)
    found = Calibration(images, prefix_routes(2)).features(model, {student, teacher})
    # The student's last block follows its own first one, then the teacher's; the teacher's but one.
    assert found[student].flatten().tolist() == [2, 3, 2, 3]
    assert found[teacher].flatten().tolist() == [3, 3, 3, 3]


def test_a_teacher_that_arrives_twice_is_calibrated_as_one_that_stays_int8() -> None:
    torch.manual_seed(0)
    narrow, wide = (
        BlockNet(nn.Conv2d(1, width, 1), [nn.Conv2d(width, width, 1)] * 3, nn.Flatten())
        for width in (2, 3)
    )
    model = PwlModel.pair(wide, narrow, (1, 2, 2)).eval()
    images = torch.randn(8, 1, 2, 2)
    order, arrivals = (1, 2, 0), (Variant.TEACHER_INT8, Variant.TEACHER)
    once, twice = routes_of(order), routes_of(order, arrivals)
    for index in range(3):
        stays, first = UnitId(Role.TEACHER, index), UnitId(Role.TEACHER_INT8, index)
        student = UnitId(Role.STUDENT, index)
        expected = Calibration(images, once).features(model, {stays, student})
        found = Calibration(images, twice).features(model, {first, student})
        assert torch.equal(found[first], expected[stays])
        assert torch.equal(found[student], expected[student])


def test_calibration_never_sees_a_test_image() -> None:
    def images(value: int, count: int) -> ImageSet:
        return ImageSet(np.full((count, 2, 2, 1), value, np.uint8), np.zeros(count, np.int64))

    plain = Normalization((0.0,), (1 / 255,))
    data = Dataset(images(1, 5), images(2, 5), ("a",), plain)
    assert Calibration.of(data, 3, 0, ()).images.unique().tolist() == [1]
    apart = Dataset(images(1, 5), images(2, 5), ("a",), plain, held_out=images(3, 2))
    found = Calibration.of(apart, 3, 0, ())
    assert (len(found.images), found.images.unique().tolist()) == (2, [3])


@pytest.mark.parametrize(
    ("signal", "noise", "found"),
    [
        (100, 1, 20),
        (1, 0, 200),
        (0, 0, 200),
        (0, 1, -200),
        (1, math.inf, -200),
        (1, math.nan, -200),
    ],
)
def test_decibels(signal: float, noise: float, found: float) -> None:
    assert decibels(signal, noise) == pytest.approx(found)


def test_noise_above_the_limit_is_refused_with_the_program() -> None:
    reference = np.array([[3.0, 4.0]])
    parity = Parity.of(reference + 0.5, reference)
    assert parity.sqnr_db == pytest.approx(10 * math.log10(25 / 0.5))
    ParityLimit(1e-9, least_sqnr_db=16.9).require(parity, "unit")
    with pytest.raises(IntegrityError, match=r"unit, quantized, is 17\.0 dB .*at least: 17\.1"):
        ParityLimit(1e9, least_sqnr_db=17.1).require(parity, "unit")
