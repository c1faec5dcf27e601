from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from pipeline.core.progress import Silent, Task
from pipeline.data.images import Dataset
from pipeline.data.source import load_dataset
from pipeline.model.family import build_model
from pipeline.model.pwl import PwlModel
from pipeline.model.route import prefix_routes
from pipeline.settings import (
    DigitsData,
    JointDistillation,
    OptimizerSettings,
    Settings,
    TeacherSettings,
)
from pipeline.training.conditions import Examples, TrainingRun
from pipeline.training.distill import distill
from pipeline.training.fit import Phase, fit
from pipeline.training.teacher import train_teacher
from tests.training.test_fit import IMAGES, LABELS, equal, network


class Notes(Silent):
    """Keeps what progress was told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    @contextmanager
    def task(self, title: str, total: float) -> Iterator[Task]:
        outer = self

        class Noting:
            def advance(self, amount: float = 1, note: str = "") -> None:
                if note:
                    outer.notes.append(note)

        yield Noting()


def train(module: nn.Module, folder: Path, *, watched: bool, epochs: int = 2) -> list[str]:
    notes = Notes()

    def step(indices: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        return {"loss": nn.functional.cross_entropy(module(IMAGES[indices]), LABELS[indices])}

    def watch() -> dict[str, float]:
        assert not module.training
        return {"accuracy": float((module(IMAGES).argmax(1) == LABELS).float().mean())}

    phase = Phase(
        "test", "test", module, [(list(module.parameters()), 1.0)], 32, 3, folder / "checkpoint"
    )
    if watched:
        phase = replace(phase, watch=watch)
    settings = OptimizerSettings(epochs=epochs, batch_size=4, learning_rate=0.2)
    fit(phase, settings, step, notes)
    return notes.notes


def shares(notes: list[str]) -> list[int]:
    return [int(note.partition("  ")[2].split(" ")[0]) for note in notes]


def test_it_is_seen_within_the_first_epoch_whether_it_learns(tmp_path: Path) -> None:
    notes = train(network(), tmp_path, watched=True, epochs=9)
    assert [note.partition("  ")[0] for note in notes[:5]] == [
        *["in epoch 1"] * 3,
        "epoch 1/9",
        "epoch 2/9",
    ]
    assert all("% right  loss " in note for note in notes)
    assert shares(notes)[-1] > 80


def test_looking_on_changes_no_weight(tmp_path: Path) -> None:
    watched, alone = network(), network()
    train(watched, tmp_path, watched=True)
    train(alone, tmp_path, watched=False)
    assert equal(watched, alone)


@pytest.fixture(scope="module")
def data() -> Dataset:
    return load_dataset(DigitsData(source="digits", test_images=1500), seed=0)


def run(data: Dataset, model: PwlModel, folder: Path) -> tuple[list[str], list[str]]:
    """Trains both networks; what was told of each."""
    inputs = data.normalization.apply(data.train.images)
    labels = torch.from_numpy(data.train.labels)
    of_teacher, of_student = Notes(), Notes()
    settings = TeacherSettings(epochs=12, batch_size=32)
    examples, checkpoint = Examples(inputs, labels), folder / "checkpoint"
    train_teacher(model.teacher, examples, settings, TrainingRun(0, checkpoint, of_teacher))
    joint = JointDistillation(recipe="joint", epochs=2, batch_size=32)
    routes = prefix_routes(model.blocks)
    run = TrainingRun(0, checkpoint, of_student)
    distill(model, examples, routes, joint, run)
    return of_teacher.notes, of_student.notes


def test_the_last_shares_told_are_those_of_the_trained_networks(
    data: Dataset, tiny_settings: Settings, tmp_path: Path
) -> None:
    model = build_model(tiny_settings.model, data.image_shape, 10, seed=0)
    of_teacher, of_student = run(data, model, tmp_path)
    inputs = data.normalization.apply(data.train.images)
    seen = torch.arange(37) * len(inputs) // 37  # an eighth of 297, all over the set
    labels = torch.from_numpy(data.train.labels)[seen]
    shown: list[str] = []
    for route in prefix_routes(3):
        with torch.no_grad():
            right = model(inputs[seen], route).argmax(1) == labels
        shown.append(f"{100 * float(right.float().mean()):.0f}")
    assert len(set(shown)) > 1
    assert f"  {' '.join(shown[:-1])} % right  student" in of_student[-1]
    assert f"  {shown[-1]} % right  loss" in of_teacher[-1]
    assert int(shown[-1]) > 80
