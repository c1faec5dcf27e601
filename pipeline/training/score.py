"""The model of a profile that is trained here, for whatever routes it is to serve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.model.family import build_model
from pipeline.model.pwl import PwlModel
from pipeline.model.route import Route
from pipeline.progress import Progress
from pipeline.settings import Settings
from pipeline.training.data.source import load_dataset
from pipeline.training.evaluate import EvaluatedModel
from pipeline.training.train import TrainingFiles, train, training_tables


class TrainedModel:
    """Trains and evaluates the model of a profile, each from the cache where it is there.

    Args:
        settings: the profile.
        cache: the same folder as `assemble` takes.
        progress: told everything that takes time.

    Raises:
        UsageError: the data is missing, or the model is not trained here.
    """

    def __init__(self, settings: Settings, cache: Path, progress: Progress) -> None:
        tables, _ = training_tables(settings)
        self._settings = settings
        self._progress = progress
        self._dataset = load_dataset(settings.data, settings.seed, settings.schedule.held_out)
        shape, classes = self._dataset.image_shape, len(self._dataset.names)
        self.blueprint = build_model(tables, shape, classes, settings.seed)
        self._files = TrainingFiles.of(settings, cache / "training")
        self._models: dict[Path, PwlModel] = {}

    def serving(self, serves: Sequence[Route] | None, routes: Sequence[Route]) -> EvaluatedModel:
        """The model trained for some routes, or for any, and evaluated along `routes`.

        Raises:
            UsageError: settings and data do not fit together, or training diverged.
        """
        files = self._files.serving(self._settings, serves)
        if files.model not in self._models:
            self._models[files.model] = train(
                self._settings, self._dataset, files, serves, self._progress
            )
        model = self._models[files.model]
        found = EvaluatedModel.of(model, self._dataset, routes, files.evaluation, self._progress)
        return replace(found, checkpoint=files.model)
