"""Where a profile's model comes from: trained here, or given by a function of the user's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline.fingerprint import fingerprint
from pipeline.ingest.function import FunctionSource
from pipeline.model.pwl import PwlModel
from pipeline.model.route import Route, prefix_routes
from pipeline.progress import Progress
from pipeline.settings import Settings, SourceModel
from pipeline.training.data.images import Dataset
from pipeline.training.data.source import data_fingerprint, load_dataset
from pipeline.training.evaluate import Accuracy, evaluate


@dataclass(frozen=True, slots=True)
class EvaluatedModel:
    """A model, wherever it comes from, and what it said about the test images.

    Attributes:
        model: in eval mode.
        dataset: what it was evaluated on.
        routes: those that ship.
        predictions: the label of the largest logit, ``[routes, test images]``.
    """

    model: PwlModel
    dataset: Dataset
    routes: Sequence[Route]
    predictions: npt.NDArray[np.uint16]

    @property
    def accuracy(self) -> list[Accuracy]:
        """One for each route."""
        return [Accuracy.of(row, self.dataset.test.labels) for row in self.predictions]


def evaluated_model(settings: Settings, cache: Path, progress: Progress) -> EvaluatedModel:
    """The model of a profile, evaluated along the routes that ship.

    Args:
        settings: the profile.
        cache: folder for trained weights and what was found about them.
        progress: told everything that takes time.

    Raises:
        UsageError: settings, data or the user's function do not fit together.
    """
    if isinstance(settings.model, SourceModel):
        return _from_function(settings, settings.model, cache / "training", progress)
    from pipeline.training.score import score

    scored = score(settings, cache, progress)
    return EvaluatedModel(scored.trained.model, scored.dataset, scored.routes, scored.predictions)


def _from_function(
    settings: Settings, source: SourceModel, home: Path, progress: Progress
) -> EvaluatedModel:
    from pipeline.ingest.keras import keras_model

    dataset = load_dataset(settings.data, settings.seed)
    with progress.task("keras blocks", total=1) as task:
        model = keras_model(source, dataset)
        task.advance(1)
    routes = prefix_routes(model.blocks)
    function = FunctionSource.parse(source.function).fingerprint()
    key = fingerprint(settings.seed, settings.data, data_fingerprint(settings.data), function)
    keep = home / f"evaluation-{key[:16]}.safetensors"
    return EvaluatedModel(model, dataset, routes, evaluate(model, dataset, routes, keep, progress))
