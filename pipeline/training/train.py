"""From a profile and its data to a trained model, through a cache: nothing is trained twice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from pipeline.errors import IntegrityError
from pipeline.fingerprint import fingerprint, machine_kind, source_fingerprint, versions
from pipeline.model.family import build_model
from pipeline.model.pwl import PwlModel
from pipeline.progress import Progress
from pipeline.settings import ResNetModel, Settings, SourceModel, TrainingSettings
from pipeline.training.checkpoint import load_into, load_tensors, save_tensors
from pipeline.training.data.images import Dataset
from pipeline.training.data.source import data_fingerprint
from pipeline.training.distill import distill
from pipeline.training.fit import reproducible
from pipeline.training.teacher import train_teacher


def training_key(settings: Settings) -> str:
    """Names the model that `train` returns for a profile on this kind of machine.

    Raises:
        UsageError: the data is missing.
    """
    model, training = _tables(settings)
    return fingerprint(_teacher_key(settings), model.student, training.distillation)


def _tables(settings: Settings) -> tuple[ResNetModel, TrainingSettings]:
    """The tables of a profile whose model is trained here."""
    if isinstance(settings.model, SourceModel) or settings.training is None:
        raise ValueError(f"{settings.name}: its model is not trained here")
    return settings.model, settings.training


def _teacher_key(settings: Settings) -> str:
    model, training = _tables(settings)
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
    tables, training = _tables(settings)
    model = build_model(tables, dataset.image_shape, len(dataset.names), settings.seed)
    inputs = dataset.normalisation.apply(dataset.train.images)
    labels = torch.from_numpy(dataset.train.labels)
    teacher_file = cache / f"teacher-{_teacher_key(settings)[:16]}.safetensors"
    model_file = cache / f"model-{training_key(settings)[:16]}.safetensors"

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
        _cached(teacher_file, model.teacher, teach, progress)
        distill(
            model,
            inputs,
            labels,
            training.distillation,
            feature_cache_mb=training.feature_cache_mb,
            seed=2 * settings.seed + 1,
            checkpoint=model_file.with_suffix(".partial"),
            progress=progress,
        )

    with reproducible(training.threads):
        _cached(model_file, model, teach_student, progress)
    return model.eval()


def _cached(file: Path, module: nn.Module, make: Callable[[], None], progress: Progress) -> None:
    """Fills `module` from `file`, or by `make`, whose result is then kept in `file`."""
    if file.exists():
        try:
            load_into(module, load_tensors(file)[0], file)
        except IntegrityError as error:
            progress.say(f"{error.what}; training again")
        else:
            return
    make()
    save_tensors(file, module.state_dict(), {})
