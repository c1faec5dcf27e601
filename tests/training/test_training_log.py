"""TensorBoard's logs, read back as TensorBoard reads them."""

from __future__ import annotations

import itertools
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.summary.writer import event_file_writer
from torch import nn
from typer.testing import CliRunner

from pipeline.core.errors import UsageError
from pipeline.core.progress import Silent
from pipeline.evaluation.predictions import EvaluatedModel
from pipeline.settings import OptimizerSettings, ScheduleSettings, Settings
from pipeline.train import train as train_command
from pipeline.training.conditions import Conditions
from pipeline.training.fit import Phase, fit
from pipeline.training.training_log import TensorBoardLog
from pipeline.workflows.load_model import trained_model
from pipeline.workflows.schedule_model import schedule_in_eager
from tests.fixtures import TINY_PROFILE
from tests.training.test_fit import (
    IMAGES,
    LABELS,
    InterruptedRunError,
    InterruptsAfter,
    network,
)


@pytest.fixture(autouse=True)
def _minutes_between_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Readers take event files by their names, which hold the second in which a run began."""
    clock = itertools.count(int(time.time()), 60)
    monkeypatch.setattr(event_file_writer, "time", SimpleNamespace(time=lambda: next(clock)))


def read(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Every scalar of a phase: steps and values."""
    events = EventAccumulator(str(folder)).Reload()
    return {
        tag: [(event.step, event.value) for event in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
    }


def trained(settings: Settings, cache: Path, logs: Path) -> EvaluatedModel:
    training_log = TensorBoardLog(logs)
    model = trained_model(settings, cache, Silent(), training_log)
    return schedule_in_eager(settings, model, training_log=training_log).evaluated


@pytest.fixture(scope="module")
def logged(
    tiny_settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, EvaluatedModel]:
    """The logs of a whole run of the tiny profile."""
    folder = tmp_path_factory.mktemp("logs")
    return folder, trained(tiny_settings, tmp_path_factory.mktemp("cache"), folder)


def test_each_phase_has_its_losses_its_learning_rate_and_its_accuracy(
    logged: tuple[Path, EvaluatedModel],
) -> None:
    folder, _ = logged
    assert set(read(folder / "teacher")) == {"loss/loss", "learning rate", "accuracy"}
    assert set(read(folder / "distillation")) == {
        *("loss/student", "loss/cross", "learning rate"),
        *(f"accuracy/{route}" for route in ("SSS", "TSS", "TTS")),
    }


def test_steps_are_batches_each_epoch_has_one_and_the_first_one_four(
    logged: tuple[Path, EvaluatedModel],
) -> None:
    for phase in ("teacher", "distillation"):
        for tag, points in read(logged[0] / phase).items():
            assert [step for step, _ in points] == [1, 2, 3, 4, 8, 12], tag


def test_the_accuracy_of_every_route_on_the_test_images_is_there_at_the_end(
    logged: tuple[Path, EvaluatedModel],
) -> None:
    folder, scored = logged
    found = read(folder / "routes")
    assert list(found) == [f"test accuracy/{route}" for route in scored.routes]
    for points, accuracy in zip(found.values(), scored.accuracy, strict=True):
        [(step, value)] = points
        assert step == 0
        assert value == pytest.approx(accuracy.top1)


def test_what_was_trained_before_is_scored_again_without_a_second_point(
    logged: tuple[Path, EvaluatedModel], tiny_settings: Settings
) -> None:
    folder, scored = logged
    cache = scored.checkpoint.parents[1]
    trained(tiny_settings, cache, folder)
    assert all(len(points) == 1 for points in read(folder / "routes").values())
    assert len(read(folder / "teacher")["loss/loss"]) == 6


def test_every_order_that_is_trained_for_has_a_page_of_its_own(
    tiny_settings: Settings, tmp_path: Path
) -> None:
    schedule = ScheduleSettings(orders=("prefix", "suffix", "greedy"), stages="all")
    settings = tiny_settings.model_copy(update={"schedule": schedule})
    trained(settings, tmp_path / "cache", tmp_path / "logs")
    pages = {path.name for path in (tmp_path / "logs").glob("distillation*")}
    assert {"distillation", "distillation-SST-STT", "distillation-any"} <= pages
    for page in pages:
        losses = read(tmp_path / "logs" / page)["loss/student"]
        assert [step for step, _ in losses] == [1, 2, 3, 4, 8, 12], page


def run(folder: Path, name: str, progress: Silent) -> dict[str, list[tuple[int, float]]]:
    module = network()
    phase = Phase(
        *("test", name, module, [(list(module.parameters()), 1.0)], 32, 3, folder / "checkpoint"),
        watch=lambda: {"accuracy": float((module(IMAGES).argmax(1) == LABELS).float().mean())},
    )

    def step(indices: object, generator: object) -> dict[str, object]:
        return {"loss": nn.functional.cross_entropy(module(IMAGES[indices]), LABELS[indices])}

    settings = OptimizerSettings(epochs=5, batch_size=8)
    conditions = Conditions(training_log=TensorBoardLog(folder / "logs"))
    try:
        fit(phase, settings, step, progress, conditions)
    except InterruptedRunError:
        assert isinstance(progress, InterruptsAfter)
    return read(folder / "logs" / name)


def test_an_interrupted_run_has_the_log_of_an_uninterrupted_one(tmp_path: Path) -> None:
    whole = run(tmp_path, "whole", Silent())
    half = run(tmp_path, "broken", InterruptsAfter(2))
    assert [step for step, _ in half["loss/loss"]] == [1, 2, 3, 4, 8]
    assert run(tmp_path, "broken", Silent()) == whole


def test_what_was_logged_after_the_last_checkpoint_is_not_there_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise InterruptedRunError

    whole = run(tmp_path, "whole", Silent())
    run(tmp_path, "broken", InterruptsAfter(1))
    with monkeypatch.context() as patched:
        patched.setattr("pipeline.training.fit.save_epoch", fails)
        half = run(tmp_path, "broken", InterruptsAfter(99))
    assert half["loss/loss"][-1][0] == 8
    assert run(tmp_path, "broken", Silent()) == whole


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(TINY_PROFILE)
    return path


def test_the_command_writes_logs_where_it_is_told_to(profile: Path, tmp_path: Path) -> None:
    words = [str(profile), "--cache", str(tmp_path / "cache"), "--logs", str(tmp_path / "logs")]
    result = CliRunner().invoke(train_command, words)
    assert result.exit_code == 0, result.stderr
    found = {path.name for path in (tmp_path / "logs").iterdir()}
    assert found == {"teacher", "distillation", "routes"}


def test_without_tensorboard_it_says_what_is_missing_before_it_trains(
    profile: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("torch.utils.tensorboard")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    words = [str(profile), "--cache", str(tmp_path / "cache"), "--logs", str(tmp_path / "logs")]
    result = CliRunner().invoke(train_command, words)
    assert result.exit_code == 2
    assert "--logs needs the package `tensorboard`" in result.stderr
    assert "pip install 'tensorboard" in result.stderr
    assert not (tmp_path / "cache").exists()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="file/logs: cannot be made"):
        TensorBoardLog(tmp_path / "file" / "logs")
