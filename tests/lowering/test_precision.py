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
from pipeline.lowering.calibration import Calibration
from pipeline.lowering.capture import capture
from pipeline.lowering.parity import Parity
from pipeline.lowering.precision import Quantization, precisions_of
from pipeline.model.blocknet import BlockNet
from pipeline.model.pwl import PwlModel
from pipeline.model.route import Role, UnitId, prefix_routes
from pipeline.settings import BACKENDS, BackendSpec, PrecisionSettings, Settings
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
    assert {str(unit): name for unit, name in found.items() if name == "int8"}.keys() == {
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
    reference = torch.tensor([[3.0, 4.0]])
    parity = Parity.of(reference + 0.5, reference)
    assert parity.sqnr_db == pytest.approx(10 * math.log10(25 / 0.5))
    parity.require_sqnr(16.9, "unit")
    with pytest.raises(IntegrityError, match=r"unit, quantized, is 17\.0 dB .*at least: 17\.1"):
        parity.require_sqnr(17.1, "unit")
