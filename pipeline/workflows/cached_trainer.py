"""The model of a profile, trained for whatever routes it is to serve unless it comes trained."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

from pipeline.core.errors import UsageError
from pipeline.core.progress import Progress
from pipeline.data.images import Dataset
from pipeline.evaluation.predictions import EvaluatedModel
from pipeline.model.pwl import BeforeTraining, PwlModel
from pipeline.model.route import Route
from pipeline.training.cached_training import Training
from pipeline.training.fit import reproducible

_ANY = "any"
#: Of a model that comes trained. Float sums depend on it, and a label on a float sum in the end.
_THREADS = 2


class CachedTrainer:
    """Trains and evaluates the model of a profile, each from the cache where it is there.

    Args:
        model: as its source gives it; it stays as it is. In eval mode if it comes trained.
        dataset: what it is evaluated on.
        progress: told everything that takes time.
        training: of the profile; for a model that comes trained, the file beside which is kept
            what it says.
        before_training: called once, if anything has to be trained.
    """

    def __init__(
        self,
        model: PwlModel,
        dataset: Dataset,
        progress: Progress,
        training: Training | Path,
        before_training: BeforeTraining | None = None,
    ) -> None:
        self.model = model
        self._dataset = dataset
        self._progress = progress
        self._training = training
        self._before_training = before_training
        self._models: dict[Path, PwlModel] = {}

    def train_and_evaluate(
        self, train_for: Sequence[Route] | None, routes: Sequence[Route]
    ) -> EvaluatedModel:
        """The model trained for some routes, or for any, and evaluated along `routes`.

        One that comes trained serves them all.

        Raises:
            UsageError: settings and data do not fit together, or training diverged.
        """
        training = self._training
        if isinstance(training, Path):
            with reproducible(_THREADS):
                return EvaluatedModel.of(
                    self.model, self._dataset, routes, training, self._progress
                )
        model, files = self._trained(training, train_for), training.files_for(train_for)
        with reproducible(training.table.threads):
            found = EvaluatedModel.of(
                model, self._dataset, routes, files.evaluation, self._progress
            )
        return replace(found, checkpoint=files.model)

    def follow(self) -> None:
        """Trains whatever the first process trains, until it is `done`.

        Raises:
            UsageError: this process has another model or other data than the first one.
        """
        training = self._training
        assert isinstance(training, Training)  # nothing else is trained by several processes
        while words := training.conditions.processes.receive():
            name, *routes = words
            train_for = None if routes == [_ANY] else [Route.parse(route) for route in routes]
            if training.files_for(train_for).model.name != name:
                raise UsageError(
                    "the processes that train together have different models or data",
                    "let model.source draw random numbers from torch alone, and give all the same "
                    "files",
                )
            training.train(deepcopy(self.model), train_for)

    def done(self) -> None:
        """Lets those that `follow` go."""
        if isinstance(self._training, Training):
            self._training.conditions.processes.broadcast([])

    def _trained(self, training: Training, train_for: Sequence[Route] | None) -> PwlModel:
        file = training.files_for(train_for).model
        if file not in self._models:
            if self._before_training is not None and not file.exists():
                self._before_training(self.model, self._dataset.image_shape)
                self._before_training = None
            words = [_ANY] if train_for is None else [str(route) for route in train_for]
            training.conditions.processes.broadcast([file.name, *words])
            model = deepcopy(self.model)
            training.train(model, train_for)
            self._models[file] = model
        return self._models[file]
