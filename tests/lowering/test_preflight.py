"""What backends refuse is told before anything is trained."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from typer.testing import CliRunner

from pipeline.core.errors import DeviceError, ExitCode, IntegrityError, UsageError
from pipeline.core.progress import Silent
from pipeline.core.work import Work
from pipeline.lowering import preflight as module
from pipeline.lowering.lowering_target import LoweringTarget
from pipeline.lowering.pool import in_processes
from pipeline.lowering.preflight import PreflightScope, preflight
from pipeline.lowering.untrained import randomized
from pipeline.model.blocknet import BlockNet
from pipeline.model.pwl import PwlModel
from pipeline.model.route import Route
from pipeline.settings import BackendName, LoweringSettings, PrecisionSettings, Settings
from pipeline.train import train
from pipeline.workflows.load_model import trained_model
from pipeline.workflows.lowering_targets import preflight_of
from tests.fixtures import settings_from
from tests.workflows.test_build_bundle import Titles

IMAGE = (2, 4, 4)


class Odd(nn.Module):
    """What no mobile delegate computes."""

    def forward(self, features: Tensor) -> Tensor:
        return torch.atan2(features, features + 3.0)


def block(activation: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Conv2d(2, 2, 1), activation)


def network(*activations: nn.Module) -> BlockNet:
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 3))
    return BlockNet(nn.Identity(), [block(activation) for activation in activations], head)


def plain() -> PwlModel:
    """Of one block, teacher and student alike: one unit to lower."""
    return PwlModel.pair(network(nn.ReLU()), network(nn.ReLU()), IMAGE)


def fly(model: PwlModel, cache: Path, *backends: BackendName, tolerance: float = 1e-4) -> None:
    targets = [
        LoweringTarget(LoweringSettings(backend=(name,), tolerance=tolerance), {"exporter": "1"})
        for name in backends
    ]
    preflight(model, IMAGE, PreflightScope(["prefix"]), targets, Work(cache, Silent(), jobs=1))


def test_all_refusals_of_all_backends_are_listed_at_once(tmp_path: Path) -> None:
    model = PwlModel.pair(network(nn.ReLU(), Odd()), network(Odd(), nn.ReLU()), IMAGE)
    with pytest.raises(UsageError) as caught:
        fly(model, tmp_path, "executorch", "litert")
    assert caught.value.code is ExitCode.USAGE
    assert "nothing was trained" in caught.value.what
    lines = caught.value.what.splitlines()[1:]
    for backend in ("executorch", "litert"):
        for place in ("teacher.blocks.1.1", "student.blocks.0.1"):
            (line,) = [line for line in lines if backend in line and place in line]
            assert "atan2" in line
    assert caught.value.remedy


def test_units_that_are_built_alike_are_each_refused_at_their_own_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(function: Any, calls: Any, jobs: int, received: Any) -> None:
        for _, index, unit in calls:
            received((index, UsageError(f"{unit.name} refused", "")))

    monkeypatch.setattr(module, "in_processes", refuse)
    with pytest.raises(UsageError, match="student-0 refused") as caught:
        fly(plain(), tmp_path, "executorch")
    assert "teacher-0 refused" in caught.value.what


@pytest.fixture
def lowered(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the units that were lowered."""
    seen: list[str] = []

    def spy(function: Any, calls: Any, jobs: int, received: Any) -> None:
        seen.extend(unit.name for _, _, unit in calls)
        for _, key, _ in calls:
            received((key, None))

    monkeypatch.setattr(module, "in_processes", spy)
    return seen


def test_a_second_time_nothing_is_lowered_whatever_the_weights(
    tmp_path: Path, lowered: list[str]
) -> None:
    torch.manual_seed(1)
    fly(plain(), tmp_path, "executorch")
    assert lowered
    lowered.clear()
    torch.manual_seed(2)
    fly(plain(), tmp_path, "executorch")
    assert lowered == []


def test_only_what_changed_is_lowered_again(tmp_path: Path, lowered: list[str]) -> None:
    fly(PwlModel.pair(network(nn.ReLU(), nn.ReLU()), network(nn.ReLU(), nn.ReLU()), IMAGE), *(
        tmp_path, "executorch",
    ))  # fmt: skip
    lowered.clear()
    other = PwlModel.pair(network(nn.ReLU(), nn.ReLU6()), network(nn.ReLU(), nn.ReLU()), IMAGE)
    fly(other, tmp_path, "executorch")
    assert lowered == ["teacher-1", "arm teacher"]


def test_a_limit_counts_where_a_trial_is_held_against_it(
    tmp_path: Path, lowered: list[str]
) -> None:
    def fly_with(**settings: Any) -> list[str]:
        lowered.clear()
        target = LoweringTarget(LoweringSettings(backend=("executorch",), **settings), {})
        preflight(
            plain(), IMAGE, PreflightScope(["prefix"]), [target], Work(tmp_path, Silent(), jobs=1)
        )
        return list(lowered)

    assert fly_with()
    assert fly_with(precision=PrecisionSettings(least_sqnr_db=5, calibration_images=8)) == []
    assert fly_with(tolerance=1e-5)


def test_a_teacher_that_arrives_twice_is_lowered_in_both_precisions(
    tmp_path: Path, lowered: list[str]
) -> None:
    ladder = PrecisionSettings().planned("S32->T8->T32")
    target = LoweringTarget(LoweringSettings(backend=("executorch",), precision=ladder), {})
    preflight(
        plain(), IMAGE, PreflightScope(["prefix"]), [target], Work(tmp_path, Silent(), jobs=1)
    )
    assert "teacher-int8-0" in lowered


class ChosenSchedule(nn.Module):
    """An activation by its name in a table."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.table = {"activation": name}

    def forward(self, features: Tensor) -> Tensor:
        found: Tensor = getattr(torch, self.table["activation"])(features)
        return found


def test_another_operator_is_lowered_wherever_a_module_keeps_its_choice(
    tmp_path: Path, lowered: list[str]
) -> None:
    student = network(nn.ReLU())
    fly(PwlModel.pair(network(ChosenSchedule("relu")), student, IMAGE), tmp_path, "executorch")
    lowered.clear()
    fly(PwlModel.pair(network(ChosenSchedule("sign")), student, IMAGE), tmp_path, "executorch")
    assert "teacher-0" in lowered


def test_what_was_refused_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tries = []

    def refuse(function: Any, calls: Any, jobs: int, received: Any) -> None:
        tries.append(len(calls))
        for _, key, unit in calls:
            received((key, UsageError(f"{unit.name} cannot be lowered", "write it otherwise")))

    monkeypatch.setattr(module, "in_processes", refuse)
    for _ in range(2):
        with pytest.raises(UsageError, match="nothing was trained"):
            fly(plain(), tmp_path, "executorch")
    assert tries[0] == tries[1] > 0


def test_a_deviation_alone_is_one_of_parity(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        module,
        "in_processes",
        lambda f, calls, j, received: [
            received((c[1], IntegrityError("x deviates"))) for c in calls
        ],
    )
    with pytest.raises(IntegrityError, match="nothing was trained"):
        fly(plain(), tmp_path, "executorch")


@pytest.mark.parametrize(
    ("orders", "converters"),
    [
        (["prefix"], {"encoder-0"}),
        (["suffix"], {"decoder-0"}),
        (["greedy"], {"encoder-0", "decoder-0"}),
        (["largest"], {"encoder-0", "decoder-0"}),
    ],
)
def test_the_converters_of_every_candidate_order_are_lowered(
    orders: Any, converters: set[str], tmp_path: Path, lowered: list[str]
) -> None:
    wide = BlockNet(
        nn.Conv2d(2, 5, 1),
        [nn.Conv2d(5, 5, 1), nn.Conv2d(5, 2, 1)],
        nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 3)),
    )
    model = PwlModel.pair(wide, network(nn.ReLU(), nn.ReLU()), IMAGE)
    target = LoweringTarget(LoweringSettings(backend=("executorch",)), {})
    preflight(model, IMAGE, PreflightScope(orders), [target], Work(tmp_path, Silent(), jobs=1))
    assert {name for name in lowered if "coder" in name} == converters


OWN = """
import torch
from torch import nn
from pipeline.ingest.python import OwnModel

class Odd(nn.Module):
    def forward(self, features):
        return torch.atan2(features, features + 3.0)

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedder = nn.Identity()
        self.blocks = nn.ModuleList([nn.Sequential(nn.Conv2d(1, 4, 3), Odd())])
        self.classifier = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 10))

def model():
    return OwnModel(Net(), Net(), image_shape=(1, 8, 8))
"""

PROFILE = """
name = "own"
data = { source = "digits", test_images = 1000 }
model = { source = "python:FILE:model" }
[training]
threads = 1
teacher = { epochs = 1 }
distillation = { recipe = "joint", epochs = 1 }
"""


def profile(folder: Path, more: str = "") -> Path:
    (folder / "own.py").write_text(OWN)
    path = folder / "own.toml"
    path.write_text(PROFILE.replace("FILE", str(folder / "own.py")) + more)
    return path


def test_training_does_not_begin_when_the_backend_of_the_profile_refuses(tmp_path: Path) -> None:
    path = profile(tmp_path, '[lowering]\nbackend = "litert"\n')
    result = CliRunner().invoke(train, [str(path), "--cache", str(tmp_path / "cache")])
    assert result.exit_code == 2, result.stderr
    assert "nothing was trained" in result.stderr
    assert "atan2" in result.stderr.lower()
    assert not list((tmp_path / "cache").rglob("*.safetensors"))


def test_a_profile_that_names_no_backend_is_trained(tmp_path: Path) -> None:
    result = CliRunner().invoke(train, [str(profile(tmp_path)), "--cache", str(tmp_path / "cache")])
    assert result.exit_code == 0, result.stderr


def test_it_comes_before_training_and_not_when_all_is_trained(tmp_path: Path) -> None:
    settings = settings_from(profile(tmp_path).read_text(), tmp_path)
    progress, calls = Titles(), []
    for _ in range(2):
        model = trained_model(
            settings,
            tmp_path / "cache",
            progress,
            before_training=lambda model, shape: calls.append((list(progress.seen), shape)),
        )
        model.train_and_evaluate(None, [Route.parse("S")])
    assert calls == [([], (1, 8, 8))]
    assert "train teacher" in progress.seen


def test_a_family_needs_none(tiny_settings: Settings, tmp_path: Path) -> None:
    assert preflight_of(tiny_settings, ("executorch",), Work(tmp_path, Silent())) is None


def test_no_parameter_or_statistic_stays_as_a_constant_made_it() -> None:
    norm = nn.BatchNorm2d(4)
    scale = nn.Module()
    scale.gamma = nn.Parameter(torch.full((4,), 1e-6))
    teacher = BlockNet(norm, [nn.Identity()], scale)
    changed = randomized(
        PwlModel(teacher, BlockNet(nn.Identity(), [nn.Identity()], nn.Identity()), [], [])
    )
    tensors = {**dict(changed.named_parameters()), **dict(changed.named_buffers())}
    for name, tensor in tensors.items():
        if tensor.is_floating_point():
            assert tensor.std() > 0, name
    assert (tensors["teacher.embedder.running_var"] > 0).all()
    assert tensors["teacher.classifier.gamma"].abs().max() > 1e-3
    assert torch.equal(norm.running_mean, torch.zeros(4))
    assert not changed.training


def test_what_varies_already_stays() -> None:
    model = plain()
    changed = randomized(model)
    before = model.teacher.blocks[0][0].weight
    assert torch.equal(changed.teacher.blocks[0][0].weight, before)


def test_a_worker_that_dies_is_told_as_such() -> None:
    with pytest.raises(DeviceError, match="a worker process died") as caught:
        in_processes(os.abort, [(), ()], 2, lambda _: None)
    assert "--jobs 1" in caught.value.remedy
