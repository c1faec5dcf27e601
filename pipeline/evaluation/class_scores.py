"""Accuracy class by class: what top-1 accuracy does not show where classes are of unequal size."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.core.intervals import Z_95
from pipeline.data.label_maps import Labels
from pipeline.evaluation.pixel_counts import PixelCounts


@dataclass(frozen=True, slots=True)
class ClassScores:
    """How good predictions are at each class, of images or of labeled pixels.

    Attributes:
        recall: per class the share of its images that are labeled rightly; None where it has none.
        balanced: the mean of these, balanced accuracy; it is the top-1 accuracy where classes are
            of equal size, and ``1 / classes`` for who always answers the same.
        low: lower end of its 95 % interval, a share.
        high: upper end.
        iou: of label maps, per class; see `PixelCounts.overlap`.
        mean_iou: of label maps.
    """

    recall: tuple[float | None, ...]
    balanced: float
    low: float
    high: float
    iou: tuple[float | None, ...] = ()
    mean_iou: float | None = None

    @classmethod
    def of(cls, predictions: Labels, labels: Labels, classes: int) -> ClassScores:
        """Compares predicted labels with true ones, both ``[n]`` and below `classes`; or both
        label maps.
        """
        if labels.ndim > 1:
            return cls.of_pixels(PixelCounts.of(predictions, labels, classes))
        count = np.bincount(labels.astype(np.int64), minlength=classes)
        right = np.bincount(labels[predictions == labels].astype(np.int64), minlength=classes)
        return cls._of(right, count, count)

    @classmethod
    def of_pixels(cls, counts: PixelCounts) -> ClassScores:
        """Of label maps. As sure as if each image with a class were one pixel of it."""
        found = cls._of(counts.hits, counts.there, counts.images)
        return replace(found, iou=counts.overlap, mean_iou=counts.mean_overlap)

    @classmethod
    def _of(
        cls, right: npt.NDArray[Any], count: npt.NDArray[Any], trials: npt.NDArray[Any]
    ) -> ClassScores:
        there = count > 0
        recall = right[there] / count[there]
        balanced = float(recall.mean())
        trials = trials[there]
        # Two successes and two failures more (Agresti and Coull, 1998): a recall of 0 or 1 is not
        # certain either.
        share = (recall * trials + 2) / (trials + 4)
        error = Z_95 * sqrt(float((share * (1 - share) / (trials + 4)).sum())) / len(recall)
        found = [float(r) / int(n) if n else None for r, n in zip(right, count, strict=True)]
        return cls(tuple(found), balanced, max(balanced - error, 0.0), min(balanced + error, 1.0))

    @property
    def chance(self) -> float:
        """The balanced accuracy of who always answers the same."""
        return 1 / sum(1 for value in self.recall if value is not None)

    @property
    def at_chance(self) -> bool:
        """Whether it is no better than that by more than its uncertainty."""
        return self.low <= self.chance
