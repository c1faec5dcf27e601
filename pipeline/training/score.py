"""How good the model of a profile is along every route that it ships with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.model.route import Route, prefix_routes, routes_with
from pipeline.progress import Progress
from pipeline.settings import Settings
from pipeline.training.data.images import Dataset
from pipeline.training.data.source import load_dataset
from pipeline.training.evaluate import EvaluatedModel, evaluate
from pipeline.training.train import Fresh, TrainingFiles, fresh_model, train, training_table
from pipeline.training.trained import Description, Trained


@dataclass(frozen=True, slots=True)
class Scored(EvaluatedModel):
    """A model that was trained here.

    Attributes:
        description: all that it is beside its weights.
        checkpoint: where its weights are kept.
    """

    description: Description
    checkpoint: Path

    @property
    def trained(self) -> Trained:
        """As `load_trained` would read it from the checkpoint."""
        return Trained(self.model, self.description)


def score(
    settings: Settings,
    cache: Path,
    progress: Progress,
    others: Sequence[Route] = (),
    make: Callable[[Settings, Dataset], Fresh] = fresh_model,
) -> Scored:
    """Trains the model of a profile and scores it, each from the cache where it is there.

    Args:
        settings: the profile.
        cache: the same folder as `assemble` takes.
        progress: told everything that takes time.
        others: routes to score beside those that ship.
        make: initialises the model for a data set.

    Raises:
        UsageError: settings, data or routes are wrong.
    """
    training_table(settings)
    dataset = load_dataset(settings.data, settings.seed)
    fresh = make(settings, dataset)
    model = fresh.model
    routes = routes_with(model.blocks, others)
    shipped = prefix_routes(model.blocks)
    files = TrainingFiles.of(settings, cache / "training", fresh.content)
    train(settings, dataset, model, files, progress)
    found = [evaluate(model, dataset, shipped, files.evaluation(), progress)]
    found += [
        evaluate(model, dataset, [route], files.evaluation(route), progress)
        for route in routes[len(shipped) :]
    ]
    description = Description.of(settings.model, dataset)
    return Scored(model, dataset, routes, np.concatenate(found), description, files.model)
