"""How good a model is along a route, with the uncertainty that the number of images leaves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from pipeline.core.errors import IntegrityError
from pipeline.core.progress import Progress
from pipeline.data.batches import batches_of_inputs
from pipeline.data.images import Dataset, ImageSet
from pipeline.data.tensors import InputRule
from pipeline.evaluation.accuracy import Accuracy
from pipeline.evaluation.class_scores import ClassScores
from pipeline.model.checkpoint import load_tensors, save_tensors
from pipeline.model.pwl import PwlModel
from pipeline.model.route import Route

#: Of some images, ``[n]``.
Labels = npt.NDArray[np.uint16]


@dataclass(frozen=True, slots=True)
class EvaluatedModel:
    """A model, wherever it comes from, and what it says about images along some routes.

    Attributes:
        model: in eval mode.
        dataset: what it was evaluated on.
        routes: along which it was evaluated.
        predictions: the label of the largest logit, ``[routes, test images]``.
        choosing: the same for the images that choose which stages ship.
        checkpoint: where its weights are kept, if it was trained here.
        eager: the predictions of eager PyTorch, where others are those of programs.
    """

    model: PwlModel
    dataset: Dataset
    routes: Sequence[Route]
    predictions: npt.NDArray[np.uint16]
    choosing: npt.NDArray[np.uint16]
    checkpoint: Path | None = None
    eager: npt.NDArray[np.uint16] | None = None

    @classmethod
    def of(
        cls,
        model: PwlModel,
        dataset: Dataset,
        routes: Sequence[Route],
        keep: Path,
        progress: Progress,
    ) -> EvaluatedModel:
        """Evaluates a model, or reads what was found before.

        Args:
            model: in eval mode.
            dataset: with the images.
            routes: along which it is evaluated.
            keep: what is found is kept beside this file, one file a route.
            progress: told every route.
        """
        normalization = dataset.normalization
        predictions = predicted_labels(model, dataset.test, normalization, routes, keep, progress)
        choosing = predictions
        if dataset.held_out is not None:
            apart = keep.with_stem(f"{keep.stem}-held-out")
            choosing = predicted_labels(
                model, dataset.held_out, normalization, routes, apart, progress
            )
        return cls(model, dataset, routes, predictions, choosing)

    def along(self, routes: Sequence[Route]) -> EvaluatedModel:
        """The same for some of the routes."""
        rows = [list(self.routes).index(route) for route in routes]
        return replace(
            self,
            routes=routes,
            predictions=self.predictions[rows],
            choosing=self.choosing[rows],
            eager=None if self.eager is None else self.eager[rows],
        )

    @property
    def accuracy(self) -> list[Accuracy]:
        """One for each route, on the test images."""
        return [Accuracy.of(row, self.dataset.test.labels) for row in self.predictions]

    @property
    def class_scores(self) -> list[ClassScores]:
        """One for each route, on the test images."""
        labels, classes = self.dataset.test.labels, len(self.dataset.names)
        return [ClassScores.of(row, labels, classes) for row in self.predictions]


def predicted_labels(
    model: PwlModel,
    images: ImageSet,
    normalization: InputRule,
    routes: Sequence[Route],
    keep: Path,
    progress: Progress,
) -> npt.NDArray[np.uint16]:
    """The predicted label of every image along every route, ``[routes, n]``.

    Args:
        model: in eval mode.
        images: with their labels.
        normalization: how they become inputs.
        routes: along which the model is evaluated.
        keep: what is found is kept beside this file, one file a route, and read the next time.
        progress: told every route.

    Raises:
        IntegrityError: logits hold NaN or infinity.
    """
    files = {route: keep.with_stem(f"{keep.stem}-{route}") for route in routes}
    found = {
        route: row
        for route, file in files.items()
        if (row := kept_labels(file, len(images))) is not None
    }
    missing = [route for route in routes if route not in found]
    if missing:
        inputs = normalization.inputs(images.images)
        shape = images.images.shape[1:]
        with progress.task("evaluate", total=len(missing)) as task, torch.no_grad():
            for route in missing:
                parts = batches_of_inputs(len(images), shape)
                logits = torch.cat([model(inputs[part], route) for part in parts])
                _require_finite(logits, route)
                found[route] = keep_labels(files[route], logits.argmax(dim=1))
                correct = int((found[route] == images.labels).sum())
                task.advance(1, f"{route}  {correct / len(images):.1%}")
    empty = np.zeros((0, len(images)), np.uint16)
    return np.stack([found[route] for route in routes]) if routes else empty


def _require_finite(logits: torch.Tensor, route: Route) -> None:
    if lost := int((~logits.isfinite()).any(dim=1).sum()):
        raise IntegrityError(
            f"route {route} gives NaN or infinity for {lost} of {len(logits)} images: they have no "
            "label",
            "look for NaN in the weights, or for values that overflow float32",
        )


def keep_labels(file: Path, labels: torch.Tensor) -> Labels:
    """Writes the label that each image was given, and gives it as `kept_labels` will."""
    labels = labels.to(torch.int32)
    save_tensors(file, {"predictions": labels}, {})
    return labels.numpy().astype(np.uint16)


def kept_labels(file: Path, count: int) -> Labels | None:
    """The labels of so many images in a file of `keep_labels`; None to find them again."""
    try:
        labels = load_tensors(file)[0]["predictions"].numpy().astype(np.uint16)
    except (IntegrityError, KeyError):
        return None  # not there yet, or damaged
    return labels if len(labels) == count else None
