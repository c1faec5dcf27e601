"""How good a model is along a route, with the uncertainty that the number of images leaves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from pipeline.errors import IntegrityError
from pipeline.model.pwl import PwlModel
from pipeline.model.route import Route
from pipeline.progress import Progress
from pipeline.proportion import wilson_interval
from pipeline.training.checkpoint import load_tensors, save_tensors
from pipeline.training.data.images import Dataset

_BATCH = 256


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Top-1 accuracy as a count, and its 95 % Wilson interval.

    Attributes:
        correct: images whose largest logit is the label's.
        images: images evaluated.
        low: lower end of the interval, a share.
        high: upper end of the interval, a share.
    """

    correct: int
    images: int
    low: float
    high: float

    @property
    def top1(self) -> float:
        """The share of correct images."""
        return self.correct / self.images

    @classmethod
    def of(cls, predictions: npt.NDArray[np.uint16], labels: npt.NDArray[np.int64]) -> Accuracy:
        """Compares predicted labels with true ones, both ``[n]``."""
        correct, images = int((predictions == labels).sum()), len(labels)
        return cls(correct, images, *wilson_interval(correct, images))


@dataclass(frozen=True, slots=True)
class EvaluatedModel:
    """A model, wherever it comes from, and what it said about the test images.

    Attributes:
        model: in eval mode.
        dataset: what it was evaluated on.
        routes: those that ship, then others that were asked for.
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


def evaluate(
    model: PwlModel, dataset: Dataset, routes: Sequence[Route], keep: Path, progress: Progress
) -> npt.NDArray[np.uint16]:
    """The predicted label of every test image along every route, ``[routes, n]``.

    Args:
        model: in eval mode.
        dataset: its test set is used.
        routes: the stages.
        keep: file of what was found; read instead when it holds just these routes.
        progress: told every route.

    """
    names = [str(route) for route in routes]
    try:
        tensors, facts = load_tensors(keep)
        if facts.get("routes") == names:
            return tensors["predictions"].numpy().astype(np.uint16)
    except IntegrityError:
        pass  # not there yet, or damaged: evaluate
    inputs = dataset.normalisation.apply(dataset.test.images)
    rows: list[torch.Tensor] = []
    with progress.task("evaluate", total=len(routes)) as task, torch.no_grad():
        for route in routes:
            batches = [model(batch, route).argmax(dim=1) for batch in torch.split(inputs, _BATCH)]
            rows.append(torch.cat(batches))
            correct = int((rows[-1].numpy() == dataset.test.labels).sum())
            task.advance(1, f"{route}  {correct / len(dataset.test):.1%}")
    predictions = torch.stack(rows).to(torch.int32)
    save_tensors(keep, {"predictions": predictions}, {"routes": names})
    return predictions.numpy().astype(np.uint16)
