"""The model of a profile that is trained here, for whatever routes it is to serve."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

from pipeline.core.errors import UsageError
from pipeline.evaluation.predictions import EvaluatedModel
from pipeline.model.pwl import BeforeTraining, PwlModel
from pipeline.model.route import Route
from pipeline.training.cached_training import Training
from pipeline.training.fit import reproducible
from pipeline.training.trained import TrainingFiles

_ANY = "any"


class CachedTrainer:
    """Trains and evaluates the model of a profile, each from the cache where it is there.

    Args:
        training: of the profile.
        model: initialized; it stays as it is.
        files: where what is trained is kept.
        before_training: called once, if anything has to be trained.
    """

    def __init__(
        self,
        training: Training,
        model: PwlModel,
        files: TrainingFiles,
        before_training: BeforeTraining | None = None,
    ) -> None:
        self.model = model
        self._training = training
        self._processes = training.conditions.processes
        self._before_training = before_training
        self._files = files
        self._models: dict[Path, PwlModel] = {}

    def train_and_evaluate(
        self, train_for: Sequence[Route] | None, routes: Sequence[Route]
    ) -> EvaluatedModel:
        """The model trained for some routes, or for any, and evaluated along `routes`.

        Raises:
            UsageError: settings and data do not fit together, or training diverged.
        """
        files = self._files.trained_for(self._training.table.distillation, train_for)
        if files.model not in self._models:
            if self._before_training is not None and not files.model.exists():
                self._before_training(self.model, self._training.dataset.image_shape)
                self._before_training = None
            words = [_ANY] if train_for is None else [str(route) for route in train_for]
            self._processes.broadcast([files.model.name, *words])
            self._models[files.model] = self._train(train_for, files)
        model = self._models[files.model]
        with reproducible(self._training.table.threads):
            found = EvaluatedModel.of(
                model, self._training.dataset, routes, files.evaluation, self._training.progress
            )
        return replace(found, checkpoint=files.model)

    def follow(self) -> None:
        """Trains whatever the first process trains, until it is `done`.

        Raises:
            UsageError: this process has another model or other data than the first one.
        """
        while words := self._processes.receive():
            name, *routes = words
            train_for = None if routes == [_ANY] else [Route.parse(route) for route in routes]
            files = self._files.trained_for(self._training.table.distillation, train_for)
            if files.model.name != name:
                raise UsageError(
                    "the processes that train together have different models or data",
                    "let model.source draw random numbers from torch alone, and give all the same "
                    "files",
                )
            self._train(train_for, files)

    def done(self) -> None:
        """Lets those that `follow` go."""
        self._processes.broadcast([])

    def _train(self, train_for: Sequence[Route] | None, files: TrainingFiles) -> PwlModel:
        model = deepcopy(self.model)
        self._training.train(model, files, train_for)
        return model
