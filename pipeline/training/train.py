"""From a profile and its data to a trained model, through a cache: nothing is trained twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from pipeline.errors import IntegrityError, UsageError
from pipeline.fingerprint import fingerprint, machine_kind, source_fingerprint, versions
from pipeline.model.family import build_model
from pipeline.model.pwl import PwlModel
from pipeline.model.route import Route
from pipeline.progress import Progress
from pipeline.settings import FamilyModel, Settings, SourceModel, TrainingSettings
from pipeline.training.checkpoint import load_into, load_tensors, save_tensors
from pipeline.training.data.images import Dataset
from pipeline.training.data.source import data_fingerprint
from pipeline.training.distill import distill
from pipeline.training.fit import reproducible
from pipeline.training.teacher import train_teacher
from pipeline.training.trained import Description, save_trained


def training_tables(settings: Settings) -> tuple[FamilyModel, TrainingSettings]:
    """The tables of a profile whose model is trained here.

    Raises:
        UsageError: its model comes from elsewhere.
    """
    if isinstance(settings.model, SourceModel) or settings.training is None:
        raise UsageError(
            f"the model of {settings.name} comes from elsewhere and is not trained here",
            "build it: `python -m pipeline.build` evaluates it, too",
        )
    return settings.model, settings.training


@dataclass(frozen=True, slots=True)
class TrainingFiles:
    """Where what is trained for a profile is kept; the names follow from what it is made of.

    Attributes:
        teacher: the teacher alone, which every student of it can share.
        model: the whole model; `load_trained` reads it.
    """

    teacher: Path
    model: Path

    @classmethod
    def of(cls, settings: Settings, cache: Path) -> TrainingFiles:
        """The files of a profile on this kind of machine, in `cache`.

        Raises:
            UsageError: the data is missing, or the model is not trained here.
        """
        model, training = training_tables(settings)
        teacher_key = fingerprint(
            settings.seed,
            settings.schedule.held_out,
            settings.data,
            data_fingerprint(settings.data),
            model.family,
            model.teacher,
            training.threads,
            training.teacher,
            source_fingerprint("model", "training"),
            versions("torch", "numpy"),
            machine_kind(),
        )
        key = fingerprint(teacher_key, model.student, training.distillation)
        return cls(
            cache / f"teacher-{teacher_key[:16]}.safetensors",
            cache / f"model-{key[:16]}.safetensors",
        )

    def serving(self, settings: Settings, serves: Sequence[Route] | None) -> TrainingFiles:
        """The files of the model that is trained for some routes, or for any."""
        _, training = training_tables(settings)
        if not training.distillation.depends_on_routes:
            return self
        words = "any" if serves is None else [str(route) for route in serves]
        key = fingerprint(self.model.stem, words)
        return replace(self, model=self.model.with_stem(f"model-{key[:16]}"))

    @property
    def evaluation(self) -> Path:
        """Beside this is kept what the model says along each route."""
        return self.model.with_stem(self.model.stem.replace("model", "evaluation"))


def train(
    settings: Settings,
    dataset: Dataset,
    files: TrainingFiles,
    serves: Sequence[Route] | None,
    progress: Progress,
) -> PwlModel:
    """The trained model of a profile, in eval mode, from the cache where it is there.

    An interrupted run goes on from its last epoch.

    Args:
        settings: the profile.
        dataset: what its ``[data]`` table names.
        files: where trained weights are kept; their folder is made when it is missing.
        serves: the routes to train for; None: any.
        progress: told losses.

    Raises:
        UsageError: the settings and the data do not fit together, or training diverged.
    """
    tables, training = training_tables(settings)
    model = build_model(tables, dataset.image_shape, len(dataset.names), settings.seed)
    inputs = dataset.normalisation.apply(dataset.train.images)
    labels = torch.from_numpy(dataset.train.labels)

    def teach() -> None:
        train_teacher(
            model.teacher,
            inputs,
            labels,
            training.teacher,
            seed=2 * settings.seed,
            checkpoint=files.teacher.with_suffix(".partial"),
            progress=progress,
        )

    def teach_student() -> None:
        _cached(files.teacher, model.teacher, teach, keep_teacher, progress)
        distill(
            model,
            inputs,
            labels,
            serves,
            training.distillation,
            feature_cache_mb=training.feature_cache_mb,
            seed=2 * settings.seed + 1,
            checkpoint=files.model.with_suffix(".partial"),
            progress=progress,
        )

    def keep_teacher() -> None:
        save_tensors(files.teacher, model.teacher.state_dict(), {})

    def keep() -> None:
        save_trained(files.model, model, Description.of(tables, dataset))

    with reproducible(training.threads):
        _cached(files.model, model, teach_student, keep, progress)
    return model.eval()


def _cached(
    file: Path,
    module: nn.Module,
    make: Callable[[], None],
    keep: Callable[[], None],
    progress: Progress,
) -> None:
    """Fills `module` from `file`, or by `make`; `keep` then writes it to `file`."""
    if file.exists():
        try:
            load_into(module, load_tensors(file)[0], file)
        except IntegrityError as error:
            progress.say(f"{error.what}; training again")
        else:
            return
    make()
    keep()
