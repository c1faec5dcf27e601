"""How good a model is along a route, with the uncertainty that the number of images leaves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from pipeline.core.errors import IntegrityError
from pipeline.core.progress import Progress
from pipeline.data.batches import batches_of_inputs
from pipeline.data.images import Dataset, ImageSet
from pipeline.data.label_maps import Labels, are_embeddings, metric_of_labels
from pipeline.data.tensors import InputRule
from pipeline.evaluation.accuracy import Accuracy
from pipeline.evaluation.class_scores import ClassScores
from pipeline.evaluation.label_scores import Scores, label_scores
from pipeline.model.checkpoint import load_tensors, save_tensors
from pipeline.model.pwl import PwlModel
from pipeline.model.route import Route


@dataclass(frozen=True, slots=True)
class EvaluatedModel:
    """A model, wherever it comes from, and what it says about images along some routes.

    Attributes:
        model: in eval mode.
        dataset: what it was evaluated on.
        routes: along which it was evaluated.
        predictions: the label of the largest logit, uint16 ``[routes, test images]``; of a dense
            task that of each pixel, uint8 ``[routes, test images, height, width]``; or
            embeddings, float32 ``[routes, test images, width]``.
        choosing: the same for the images that choose which stages ship.
        checkpoint: where its weights are kept, if it was trained here.
        eager: the predictions of eager PyTorch, where others are those of programs.
    """

    model: PwlModel
    dataset: Dataset
    routes: Sequence[Route]
    predictions: Labels
    choosing: Labels
    checkpoint: Path | None = None
    eager: Labels | None = None

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
    def choosing_scores(self) -> dict[Route, Scores]:
        """By route, how good each answer is to the images that choose the stages."""
        labels = self.dataset.choosing.labels
        rows = zip(self.routes, self.choosing, strict=True)
        return {route: label_scores(row, labels) for route, row in rows}

    @property
    def class_scores(self) -> list[ClassScores]:
        """One for each route, on the test images; none of embeddings."""
        if self.dataset.embeds:
            return []
        labels, classes = self.dataset.test.labels, len(self.dataset.names)
        return [ClassScores.of(row, labels, classes) for row in self.predictions]


def predicted_labels(
    model: PwlModel,
    images: ImageSet,
    normalization: InputRule,
    routes: Sequence[Route],
    keep: Path,
    progress: Progress,
) -> Labels:
    """The predicted label of every image, or pixel, along every route, ``[routes, n, ...]``.

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
        if (row := kept_labels(file, images.labels.shape)) is not None
    }
    missing = [route for route in routes if route not in found]
    if missing:
        inputs = normalization.inputs(images.images)
        shape = images.images.shape[1:]
        with progress.task("evaluate", total=len(missing)) as task, torch.no_grad():
            embeds = are_embeddings(images.labels)
            metric = metric_of_labels(images.labels)
            for route in missing:
                parts = batches_of_inputs(len(images), shape)
                pieces = [_labels(model(inputs[part], route), embeds) for part in parts]
                _require_finite(torch.cat([finite for _, finite in pieces]), route)
                labels = torch.cat([labels for labels, _ in pieces])
                found[route] = keep_labels(files[route], labels)
                top1 = Accuracy.of(found[route], images.labels).top1
                task.advance(1, f"{route}  {metric.value(top1, 1)}")
    empty = np.zeros((0, *images.labels.shape), np.uint16)
    return np.stack([found[route] for route in routes]) if routes else empty


def _labels(logits: torch.Tensor, embeds: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Labels of a batch, or embeddings, and of which images the logits are all finite."""
    return logits if embeds else logits.argmax(dim=1), logits.isfinite().flatten(1).all(dim=1)


def _require_finite(finite: torch.Tensor, route: Route) -> None:
    if lost := int((~finite).sum()):
        raise IntegrityError(
            f"route {route} gives NaN or infinity for {lost} of {len(finite)} images: they have no "
            "label",
            "look for NaN in the weights, or for values that overflow float32",
        )


def keep_labels(file: Path, labels: torch.Tensor) -> Labels:
    """Writes the label that each image, or pixel, was given, and gives it as `kept_labels` will."""
    if not labels.is_floating_point():
        labels = labels.to(torch.int32 if labels.dim() == 1 else torch.uint8)
    save_tensors(file, {"predictions": labels}, {})
    return _as_labels(labels)


def kept_labels(file: Path, shape: tuple[int, ...]) -> Labels | None:
    """The labels in a file of `keep_labels`, so many of them; None to find them again."""
    try:
        labels = _as_labels(load_tensors(file)[0]["predictions"])
    except (IntegrityError, KeyError):
        return None  # not there yet, or damaged
    return labels if labels.shape == shape else None


def _as_labels(kept: torch.Tensor) -> Labels:
    return kept.numpy().astype(np.uint16) if kept.dim() == 1 else kept.numpy()
