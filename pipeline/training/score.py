"""How good the model of a profile is along every route that it ships with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.model.route import Route, prefix_routes, routes_with
from pipeline.progress import Progress, Silent
from pipeline.settings import Settings
from pipeline.training.data.source import load_dataset
from pipeline.training.evaluate import EvaluatedModel, evaluate
from pipeline.training.journal import Journal, NoJournal
from pipeline.training.processes import Processes
from pipeline.training.train import TrainingFiles, train, training_tables
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
    journal: Journal | None = None,
    processes: Processes | None = None,
) -> Scored:
    """Trains the model of a profile and scores it, each from the cache where it is there.

    Args:
        settings: the profile.
        cache: the same folder as `assemble` takes.
        progress: told everything that takes time.
        others: routes to score beside those that ship.
        journal: where losses and the accuracy of every route are written down, if anywhere.
        processes: those that train it together, of which this has to be the first.

    Raises:
        UsageError: settings, data or routes are wrong.
    """
    tables, _ = training_tables(settings)
    routes = routes_with(tables.blocks, others)
    shipped = prefix_routes(tables.blocks)
    home = cache / "training"
    dataset = load_dataset(settings.data, settings.seed)
    files = TrainingFiles.of(settings, home)
    model = train(settings, dataset, files, progress, journal, processes)
    found = [evaluate(model, dataset, shipped, files.evaluation(), progress)]
    found += [
        evaluate(model, dataset, [route], files.evaluation(route), progress)
        for route in routes[len(shipped) :]
    ]
    description = Description.of(tables, dataset)
    scored = Scored(model, dataset, routes, np.concatenate(found), description, files.model)
    with (journal or NoJournal()).page("routes", -1) as page:
        shares = zip(routes, scored.accuracy, strict=True)
        page.write({f"test accuracy/{route}": found.top1 for route, found in shares}, 0)
    return scored


def help_to_train(settings: Settings, cache: Path, processes: Processes) -> None:
    """What the other processes do while the first one is in `score`."""
    dataset = load_dataset(settings.data, settings.seed)
    files = TrainingFiles.of(settings, cache / "training")
    train(settings, dataset, files, Silent(), processes=processes)
