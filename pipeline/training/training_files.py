"""Where what is trained is kept: the names follow from all that it is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.core.errors import UsageError
from pipeline.core.fingerprint import fingerprint, machine_kind, versions
from pipeline.core.producers import DATA, EVALUATION, TRAINING
from pipeline.data.source import data_fingerprint
from pipeline.model.route import Route
from pipeline.settings import Settings, SourceModel, TrainingSettings


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
    def of(cls, settings: Settings, cache: Path, content: str = "") -> TrainingFiles:
        """The files of a profile on this kind of machine, in `cache`.

        Args:
            settings: the profile.
            cache: their folder.
            content: what `SourcedModel` says of the model.

        Raises:
            UsageError: the data is missing, or the model is not trained here.
        """
        training = training_table(settings)
        model = settings.model
        teacher, student = (
            (model.portable, "")
            if isinstance(model, SourceModel)
            else (model.teacher, model.student)
        )
        teacher_key = fingerprint(
            settings.seed,
            settings.schedule.held_out,
            settings.data,
            data_fingerprint(settings.data),
            model.family,
            teacher,
            content,
            # All that training depends on, also what is added one day, but for the student's part.
            training.model_dump(mode="json", exclude={"distillation", "feature_cache_mb"}),
            (DATA, TRAINING, EVALUATION),
            versions("torch", "numpy"),
            machine_kind(),
        )
        key = fingerprint(teacher_key, student, training.distillation, training.feature_cache_mb)
        return cls(
            cache / f"teacher-{teacher_key[:16]}.safetensors",
            cache / f"model-{key[:16]}.safetensors",
        )

    def trained_for(self, settings: Settings, routes: Sequence[Route] | None) -> TrainingFiles:
        """The files of the model that is trained for some routes, or for any."""
        training = training_table(settings)
        if not training.distillation.depends_on_routes:
            return self
        words = "any" if routes is None else [str(route) for route in routes]
        key = fingerprint(self.model.stem, words)
        return replace(self, model=self.model.with_stem(f"model-{key[:16]}"))

    @property
    def evaluation(self) -> Path:
        """Beside this is kept what the model says along each route."""
        return self.model.with_stem(self.model.stem.replace("model", "evaluation"))
