"""The model of a profile that is trained here, for whatever routes it is to serve."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

from pipeline.core.errors import UsageError
from pipeline.core.progress import Progress
from pipeline.data.images import Dataset
from pipeline.data.source import load_dataset
from pipeline.evaluation.predictions import EvaluatedModel
from pipeline.model.pwl import BeforeTraining, PwlModel
from pipeline.model.route import Route
from pipeline.settings import Settings
from pipeline.training.fit import reproducible
from pipeline.training.processes import Processes
from pipeline.training.train import TrainingFiles, UntrainedModel, train, training_table
from pipeline.training.training_log import TrainingLog

_ANY = "any"


class CachedTrainer:
    """Trains and evaluates the model of a profile, each from the cache where it is there.

    Args:
        settings: the profile.
        cache: the same folder as `assemble` takes.
        progress: told everything that takes time.
        make: initializes the model for a data set.
        training_log: where losses are written down, if anywhere.
        processes: those that train it together; all but the first one `follow`.
        before_training: called once, if anything has to be trained.

    Raises:
        UsageError: the data is missing, or the model is not trained here.
    """

    def __init__(
        self,
        settings: Settings,
        cache: Path,
        progress: Progress,
        make: Callable[[Dataset], UntrainedModel],
        training_log: TrainingLog | None = None,
        processes: Processes | None = None,
        before_training: BeforeTraining | None = None,
    ) -> None:
        training_table(settings)
        self._settings = settings
        self._progress = progress
        self._training_log = training_log
        self._processes = processes or Processes()
        self._before_training = before_training
        dataset = load_dataset(settings.data, settings.seed, settings.schedule.held_out)
        untrained = make(dataset)
        self._dataset = untrained.dataset
        self.model = untrained.model
        self._files = TrainingFiles.of(settings, cache / "training", untrained.content)
        self._models: dict[Path, PwlModel] = {}

    def train_and_evaluate(
        self, train_for: Sequence[Route] | None, routes: Sequence[Route]
    ) -> EvaluatedModel:
        """The model trained for some routes, or for any, and evaluated along `routes`.

        Raises:
            UsageError: settings and data do not fit together, or training diverged.
        """
        files = self._files.trained_for(self._settings, train_for)
        if files.model not in self._models:
            if self._before_training is not None and not files.model.exists():
                self._before_training(self.model, self._dataset.image_shape)
                self._before_training = None
            words = [_ANY] if train_for is None else [str(route) for route in train_for]
            self._processes.broadcast([files.model.name, *words])
            self._models[files.model] = self._train(train_for, files)
        model = self._models[files.model]
        with reproducible(training_table(self._settings).threads):
            found = EvaluatedModel.of(
                model, self._dataset, routes, files.evaluation, self._progress
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
            files = self._files.trained_for(self._settings, train_for)
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
        train(
            *(self._settings, self._dataset, model, files, train_for, self._progress),
            training_log=self._training_log,
            processes=self._processes,
        )
        return model
