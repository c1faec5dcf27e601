"""The model of a profile that comes trained, evaluated along whatever routes are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.core.fingerprint import fingerprint, machine_kind, versions
from pipeline.core.producers import DATA, EVALUATION
from pipeline.core.progress import Progress
from pipeline.data.source import data_fingerprint
from pipeline.evaluation.predictions import EvaluatedModel
from pipeline.model.route import Route
from pipeline.settings import Settings
from pipeline.training.fit import reproducible
from pipeline.training.train import SourcedModel

#: Float sums depend on it, and a label on a float sum in the end.
_THREADS = 2


class PretrainedModel:
    """A trained model beside the data of a profile.

    Args:
        sourced: the model in eval mode, and the data that the profile names.
        settings: the profile.
        cache: the same folder as `assemble` takes.
        progress: told everything that takes time.
    """

    def __init__(
        self, sourced: SourcedModel, settings: Settings, cache: Path, progress: Progress
    ) -> None:
        self.model = sourced.model
        self._dataset = sourced.dataset
        self._progress = progress
        key = fingerprint(
            settings.seed,
            settings.schedule.held_out,
            settings.data,
            data_fingerprint(settings.data),
            settings.model,
            sourced.content,
            (DATA, EVALUATION),
            versions("torch", "numpy"),
            machine_kind(),
        )
        self._keep = cache / "training" / f"evaluation-{key[:16]}.safetensors"

    def train_and_evaluate(
        self, train_for: Sequence[Route] | None, routes: Sequence[Route]
    ) -> EvaluatedModel:
        """The model, evaluated along `routes`; it comes trained, for whatever they are."""
        with reproducible(_THREADS):
            return EvaluatedModel.of(self.model, self._dataset, routes, self._keep, self._progress)
