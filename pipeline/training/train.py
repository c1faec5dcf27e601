"""From a profile and its data to a trained model, through a cache: nothing is trained twice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from pipeline.errors import IntegrityError, UsageError
from pipeline.fingerprint import fingerprint, machine_kind, source_fingerprint, versions
from pipeline.model.family import build_model
from pipeline.model.pwl import PwlModel
from pipeline.progress import Progress
from pipeline.settings import FamilyModel, Settings, SourceModel, TrainingSettings
from pipeline.training.checkpoint import load_into, load_tensors, save_tensors
from pipeline.training.data.images import Dataset
from pipeline.training.data.source import data_fingerprint
from pipeline.training.distill import distill
from pipeline.training.fit import reproducible
from pipeline.training.teacher import train_teacher
from pipeline.training.trained import Description, save_trained


def training_key(settings: Settings) -> str:
    """Names the model that `train` returns for a profile on this kind of machine.

    Raises:
        UsageError: the data is missing.
    """
    model, training = training_tables(settings)
    return fingerprint(_teacher_key(settings), model.student, training.distillation)


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


def model_file(settings: Settings, cache: Path) -> Path:
    """Where `train` keeps the model of a profile; `load_trained` reads it.

    Raises:
        UsageError: the data is missing.
    """
    return cache / f"model-{training_key(settings)[:16]}.safetensors"


def _teacher_key(settings: Settings) -> str:
    model, training = training_tables(settings)
    return fingerprint(
        settings.seed,
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


def train(settings: Settings, dataset: Dataset, cache: Path, progress: Progress) -> PwlModel:
    """The trained model of a profile, in eval mode, from the cache where it is there.

    An interrupted run goes on from its last epoch.

    Args:
        settings: the profile.
        dataset: what its ``[data]`` table names.
        cache: folder for trained weights; made when it is missing.
        progress: told losses.

    Raises:
        UsageError: the settings and the data do not fit together, or training diverged.
    """
    tables, training = training_tables(settings)
    model = build_model(tables, dataset.image_shape, len(dataset.names), settings.seed)
    inputs = dataset.normalisation.apply(dataset.train.images)
    labels = torch.from_numpy(dataset.train.labels)
    teacher_file = cache / f"teacher-{_teacher_key(settings)[:16]}.safetensors"
    trained_file = model_file(settings, cache)

    def teach() -> None:
        train_teacher(
            model.teacher,
            inputs,
            labels,
            training.teacher,
            seed=2 * settings.seed,
            checkpoint=teacher_file.with_suffix(".partial"),
            progress=progress,
        )

    def teach_student() -> None:
        _cached(teacher_file, model.teacher, teach, keep_teacher, progress)
        distill(
            model,
            inputs,
            labels,
            training.distillation,
            feature_cache_mb=training.feature_cache_mb,
            seed=2 * settings.seed + 1,
            checkpoint=trained_file.with_suffix(".partial"),
            progress=progress,
        )

    def keep_teacher() -> None:
        save_tensors(teacher_file, model.teacher.state_dict(), {})

    def keep() -> None:
        save_trained(trained_file, model, Description.of(tables, dataset))

    with reproducible(training.threads):
        _cached(trained_file, model, teach_student, keep, progress)
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
