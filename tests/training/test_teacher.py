from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from pipeline.core.progress import Silent
from pipeline.model.family import build_model
from pipeline.settings import Settings, TeacherSettings
from pipeline.training.conditions import Conditions, Examples, TrainingRun
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
