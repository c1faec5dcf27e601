"""The model of a profile that comes trained, evaluated along whatever routes are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.core.progress import Progress
from pipeline.data.images import Dataset
from pipeline.evaluation.predictions import EvaluatedModel
from pipeline.model.pwl import PwlModel
from pipeline.model.route import Route
from pipeline.training.fit import reproducible

#: Float sums depend on it, and a label on a float sum in the end.
_THREADS = 2


class PretrainedModel:
    """A trained model beside the data of a profile.

    Args:
        model: in eval mode.
        dataset: what it is evaluated on.
        keep: what it says is kept beside this file.
        progress: told everything that takes time.
    """

    def __init__(self, model: PwlModel, dataset: Dataset, keep: Path, progress: Progress) -> None:
        self.model = model
        self._dataset = dataset
        self._keep = keep
        self._progress = progress

    def train_and_evaluate(
        self, train_for: Sequence[Route] | None, routes: Sequence[Route]
    ) -> EvaluatedModel:
        """The model, evaluated along `routes`; it comes trained, for whatever they are."""
        with reproducible(_THREADS):
            return EvaluatedModel.of(self.model, self._dataset, routes, self._keep, self._progress)
