"""How good the model of a profile is along every route that it ships with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline.model.route import Route, prefix_routes, routes_with
from pipeline.progress import Progress
from pipeline.settings import Settings
from pipeline.training.data.images import Dataset
from pipeline.training.data.source import load_dataset
from pipeline.training.evaluate import Accuracy, evaluate
from pipeline.training.train import model_file, train, training_key, training_tables
from pipeline.training.trained import Description, Trained


@dataclass(frozen=True, slots=True)
class Scored:
    """A trained model and what it said about the test images.

    Attributes:
        trained: the model.
        dataset: what it was trained and scored on.
        checkpoint: where its weights are kept.
        routes: the shipped routes, then those asked for besides.
        predictions: the label of the largest logit, ``[routes, test images]``.
    """

    trained: Trained
    dataset: Dataset
    checkpoint: Path
    routes: tuple[Route, ...]
    predictions: npt.NDArray[np.uint16]

    @property
    def accuracy(self) -> list[Accuracy]:
        """One for each route."""
        return [Accuracy.of(row, self.dataset.test.labels) for row in self.predictions]


def score(
    settings: Settings, cache: Path, progress: Progress, others: Sequence[Route] = ()
) -> Scored:
    """Trains the model of a profile and scores it, each from the cache where it is there.

    Args:
        settings: the profile.
        cache: the same folder as `assemble` takes.
        progress: told everything that takes time.
        others: routes to score beside those that ship.

    Raises:
        UsageError: settings, data or routes are wrong.
    """
    tables, _ = training_tables(settings)
    routes = routes_with(tables.blocks, others)
    shipped = prefix_routes(tables.blocks)
    home = cache / "training"
    dataset = load_dataset(settings.data, settings.seed)
    model = train(settings, dataset, home, progress)
    # Apart from the shipped ones, so that asking for another route never costs a build its file.
    stem = f"evaluation-{training_key(settings)[:16]}"
    found = [evaluate(model, dataset, shipped, home / f"{stem}.safetensors", progress)]
    found += [
        evaluate(model, dataset, [route], home / f"{stem}-{route}.safetensors", progress)
        for route in routes[len(shipped) :]
    ]
    trained = Trained(model, Description.of(tables, dataset))
    checkpoint = model_file(settings, home)
    return Scored(trained, dataset, checkpoint, routes, np.concatenate(found))
