"""Where what is trained or evaluated for a profile is kept: named by all that it is made of."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.core.errors import UsageError
from pipeline.core.fingerprint import fingerprint, machine_kind, versions
from pipeline.core.producers import DATA, EVALUATION, TRAINING
from pipeline.data.source import data_fingerprint
from pipeline.settings import Settings, SourceModel, TaskSettings, TrainingSettings
from pipeline.training.trained import TrainingFiles

if TYPE_CHECKING:
    from pipeline.data.images import Dataset


def training_table(settings: Settings) -> TrainingSettings:
    """The ``[training]`` table of a profile whose model is trained here.

    Raises:
        UsageError: it comes trained.
    """
    if settings.training is None:
        raise UsageError(
            f"the model of {settings.name} comes from elsewhere and is not trained here",
            "build it: `python -m pipeline.build` evaluates it, too",
        )
    return settings.training


def training_files(settings: Settings, cache: Path, content: str = "") -> TrainingFiles:
    """The files of a profile's model that is trained here, on this kind of machine.

    Args:
        settings: the profile.
        cache: the same folder as `assemble` takes.
        content: as `ModelSource.content_on_data` tells it.

    Raises:
        UsageError: the data is missing, or the model is not trained here.
    """
    training, model, folder = training_table(settings), settings.model, cache / "training"
    teacher, student = (
        (model.portable, "") if isinstance(model, SourceModel) else (model.teacher, model.student)
    )
    teacher_key = fingerprint(
        settings.seed,
        settings.schedule.held_out,
        settings.data,
        data_fingerprint(settings.data),
        *_task(settings),
        model.family,
        teacher,
        content,
        # All that training depends on, also what is added one day, but for the student's part.
        training.model_dump(mode="json", exclude={"distillation", "teacher_features"}),
        (DATA, TRAINING, EVALUATION),
        versions("torch", "numpy"),
        machine_kind(),
    )
    # Kept in memory or on disk, features have the same bits.
    recomputed = training.teacher_features == "recompute"
    key = fingerprint(teacher_key, student, training.distillation, recomputed)
    return TrainingFiles(
        folder / f"teacher-{teacher_key[:16]}.safetensors",
        folder / f"model-{key[:16]}.safetensors",
    )


def evaluation_file(settings: Settings, cache: Path, content: str) -> Path:
    """Beside this is kept what a model that comes trained says along each route.

    Args:
        settings: the profile.
        cache: the same folder as `assemble` takes.
        content: as `ModelSource.content_on_data` tells it.
    """
    key = fingerprint(
        settings.seed,
        settings.schedule.held_out,
        settings.data,
        data_fingerprint(settings.data),
        *_task(settings),
        settings.model,
        content,
        (DATA, EVALUATION),
        versions("torch", "numpy"),
        machine_kind(),
    )
    return cache / "training" / f"evaluation-{key[:16]}.safetensors"


def answers_file(settings: Settings, cache: Path, content: str, dataset: Dataset) -> Path:
    """Where a teacher's embeddings are kept.

    Args:
        settings: the profile.
        cache: the same folder as `assemble` takes.
        content: as `ModelSource.content` tells it.
        dataset: of the profile, normalized as it will be embedded.
    """
    whole = evaluation_file(settings, cache, fingerprint(content, str(dataset.normalization)))
    return whole.with_stem(whole.stem.replace("evaluation", "embeddings"))


def _task(settings: Settings) -> tuple[TaskSettings, ...]:
    """What the networks answer; nothing where they classify, as there was no other task once."""
    return () if settings.task.kind == "classification" else (settings.task,)
