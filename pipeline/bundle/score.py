"""How accurate a stage or an arm is, as a manifest states it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipeline.bundle.stated_score import Score
from pipeline.evaluation.accuracy import Accuracy
from pipeline.evaluation.class_scores import ClassScores
from pipeline.evaluation.label_scores import agreement_of

if TYPE_CHECKING:
    from pipeline.data.label_maps import Labels


def score_of(
    predictions: Labels,
    labels: Labels,
    classes: int,
    eager: Labels | None = None,
) -> Score:
    """An accuracy as a manifest states it.

    Args:
        predictions: the label that each test image, or pixel, was given.
        labels: its own.
        classes: how many labels there are.
        eager: the predictions of eager PyTorch, where the others are those of quantized programs.
    """
    accuracy = Accuracy.of(predictions, labels)
    agreement = None if eager is None else round(agreement_of(predictions, eager, labels), 6)
    if accuracy.cosine is not None:
        top1, low, high = (round(v, 6) for v in (accuracy.top1, accuracy.low, accuracy.high))
        return Score(images=accuracy.images, top1=top1, low=low, high=high, agreement=agreement)
    scores = ClassScores.of(predictions, labels, classes)
    return Score(
        correct=accuracy.correct,
        images=accuracy.images,
        top1=round(accuracy.top1, 6),
        low=round(accuracy.low, 6),
        high=round(accuracy.high, 6),
        balanced=round(scores.balanced, 6),
        recall=_rounded(scores.recall),
        agreement=agreement,
        pixels=accuracy.pixels,
        iou=_rounded(scores.iou),
        mean_iou=None if scores.mean_iou is None else round(scores.mean_iou, 6),
    )


def _rounded(shares: Sequence[float | None]) -> tuple[float | None, ...]:
    return tuple(None if share is None else round(share, 6) for share in shares)
