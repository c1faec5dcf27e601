"""Top-1 accuracy, of a model on the host and of its programs on a device alike. No torch here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.core.intervals import wilson_interval


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
