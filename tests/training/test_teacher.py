from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from pipeline.core.progress import Progress, Silent, Task
from pipeline.model.blocknet import BlockNet
from pipeline.model.family import build_model
from pipeline.settings import Settings, TeacherSettings
from pipeline.training.conditions import Conditions, Examples, TrainingRun
from pipeline.training.fit import reproducible
from pipeline.training.teacher import train_teacher
from pipeline.training.training_log import PhaseLog


class Losses:
    """A training_log that keeps losses and learning rates."""

    def __init__(self) -> None:
        self.found: list[float] = []
        self.rates: list[float] = []

    @contextmanager
    def phase(self, name: str, first: int) -> Iterator[PhaseLog]:
        yield self

    def write(self, numbers: Mapping[str, float], step: int) -> None:
        self.found.append(numbers["loss/loss"])
        self.rates.append(numbers["learning rate"])


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_the_teacher_learns_from_labels_that_are_as_smooth_as_the_settings_say(
    smoothing: float, tiny_settings: Settings, tmp_path: Path
) -> None:
    model = build_model(tiny_settings.model, (1, 8, 8), classes=4, seed=0)
    images = torch.randn(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(6) % 4
    with torch.no_grad():
        chances = model.teacher.train()(images).softmax(dim=1)
    wanted = torch.full((6, 4), smoothing / 4)
    wanted[torch.arange(6), labels] += 1 - smoothing
    losses = Losses()
    train_teacher(
        model.teacher,
        Examples(images, labels),
        TeacherSettings(
            **{"epochs": 1, "batch_size": 6, "schedule": "cosine"}, label_smoothing=smoothing
        ),
        TrainingRun(0, tmp_path / "checkpoint", Silent(), Conditions(training_log=losses)),
    )
    assert losses.found == pytest.approx([-(wanted * chances.log()).sum(dim=1).mean().item()])
    assert losses.rates == pytest.approx([0.05])  # that of this step


class StoppedError(Exception):
    """A run that is killed."""


@dataclass
class Stopping(Silent):
    """Ends the run when a phase has gone on for so many batches."""

    title: str
    after: int

    @contextmanager
    def task(self, title: str, total: float) -> Iterator[Task]:
        yield _Batches(self.after if title == self.title else 1 << 30)


@dataclass
class _Batches:
    left: int

    def advance(self, amount: float = 1, note: str = "") -> None:
        self.left -= amount > 0
        if self.left < 0:
            raise StoppedError


@pytest.mark.parametrize(("title", "after"), [("train head", 3), ("train teacher", 5)])
def test_tuning_goes_on_where_it_was_interrupted(title: str, after: int, tmp_path: Path) -> None:
    """Within the epochs of the head, or behind the first of all."""
    images = torch.randn(8, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    examples = Examples(images, torch.arange(8) % 4)
    settings = TeacherSettings(epochs=4, head_epochs=2, batch_size=2)

    def tuned(progress: Progress, folder: Path) -> dict[str, Tensor]:
        torch.manual_seed(0)
        body = [nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten()]
        network = BlockNet(nn.Identity(), [nn.Sequential(*body)], nn.Linear(144, 4))
        with reproducible(1):
            train_teacher(
                network, examples, settings, TrainingRun(0, folder / "a.partial", progress)
            )
        return network.state_dict()

    with pytest.raises(StoppedError):
        tuned(Stopping(title, after), tmp_path)
    resumed, whole = tuned(Silent(), tmp_path), tuned(Silent(), tmp_path / "whole")
    assert all(torch.equal(resumed[name], whole[name]) for name in whole)
    assert not list(tmp_path.glob("*.partial"))
