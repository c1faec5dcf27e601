"""The least accuracy that a profile lets a bundle be written with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pipeline.core.errors import IntegrityError
from pipeline.settings import BundleSettings

if TYPE_CHECKING:
    from pipeline.evaluation.predictions import EvaluatedModel


def require_floors(settings: BundleSettings, evaluated: EvaluatedModel) -> None:
    """Holds the final stage against ``least_top1``, ``least_balanced`` and ``least_mean_iou``, and
    every stage of embeddings against ``least_cosine``.

    Args:
        settings: the ``[bundle]`` table.
        evaluated: the model, along the stages that ship; the whole test set counts.

    Raises:
        IntegrityError: a stage is less accurate.
    """
    problems = [*_of_embeddings(settings, evaluated), *_of_labels(settings, evaluated)]
    if problems:
        raise IntegrityError(
            f"on {len(evaluated.dataset.test):,} test images, before anything was lowered, "
            + "; ".join(problems),
            "no bundle was written; look for weights that were not read, another normalization or "
            "other labels, train longer, or ask for less in [bundle]",
        )


def _of_embeddings(settings: BundleSettings, evaluated: EvaluatedModel) -> Iterator[str]:
    least = settings.least_cosine
    if least is None:
        return
    metric = evaluated.dataset.metric
    for index, (route, found) in enumerate(zip(evaluated.routes, evaluated.accuracy, strict=True)):
        if found.top1 < least:
            yield (
                f"stage {index} ({route}): {metric.title} is {metric.value(found.top1)}, less than "
                f"[bundle] least_cosine = {least:g}"
            )


def _of_labels(settings: BundleSettings, evaluated: EvaluatedModel) -> Iterator[str]:
    floors = (settings.least_top1, settings.least_balanced, settings.least_mean_iou)
    if floors == (None, None, None):
        return
    from pipeline.evaluation.accuracy import Accuracy
    from pipeline.evaluation.class_scores import ClassScores

    labels, final = evaluated.dataset.test.labels, evaluated.predictions[-1]
    classes = ClassScores.of(final, labels, len(evaluated.dataset.names))
    found = (
        ("least_top1", evaluated.dataset.metric.title, Accuracy.of(final, labels).top1),
        ("least_balanced", "balanced accuracy", classes.balanced),
        ("least_mean_iou", "mean IoU", classes.mean_iou),
    )
    for least, (key, words, value) in zip(floors, found, strict=True):
        if least is not None and value is not None and value < least:
            yield (
                f"the final stage ({evaluated.routes[-1]}): {words} is {value:.2%}, less than "
                f"[bundle] {key} = {least:g}"
            )
