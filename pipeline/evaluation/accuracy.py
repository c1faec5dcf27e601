"""Top-1 accuracy, of a model on the host and of its programs on a device alike. No torch here.

Of label maps it is per-pixel accuracy: the share of the labeled pixels that get their label.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.core.intervals import mean_interval, wilson_interval
from pipeline.data.label_maps import Labels, are_embeddings
from pipeline.evaluation.label_scores import cosines
from pipeline.settings import IGNORED


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Top-1 accuracy as a count, and its 95 % interval: Wilson's, or of pixels that of images.

    Attributes:
        correct: images, or pixels, whose largest logit is the label's; 0 of embeddings.
        images: images evaluated.
        low: lower end of the interval, a share.
        high: upper end of the interval, a share.
        pixels: labeled pixels of all of them; None where a label is of a whole image.
        cosine: of embeddings, of which none is right or wrong: their mean cosine to the teacher's.
    """

    correct: int
    images: int
    low: float
    high: float
    pixels: int | None = None
    cosine: float | None = None

    @property
    def top1(self) -> float:
        """The share of correct images, or of correct pixels; of embeddings the mean cosine."""
        if self.cosine is not None:
            return self.cosine
        return self.correct / (self.pixels or self.images)

    @classmethod
    def of(cls, predictions: Labels, labels: Labels) -> Accuracy:
        """Compares predicted labels with true ones, both ``[n]`` or ``[n, height, width]``."""
        if are_embeddings(labels):
            return cls.of_cosines(cosines(predictions, labels))
        if labels.ndim == 1:
            correct, images = int((predictions == labels).sum()), len(labels)
            return cls(correct, images, *wilson_interval(correct, images))
        there = labels != IGNORED
        right = ((predictions == labels) & there).sum(axis=(1, 2))
        return cls.of_pixels(right, there.sum(axis=(1, 2)))

    @classmethod
    def of_cosines(cls, scores: npt.NDArray[np.float64]) -> Accuracy:
        """Of embeddings, from the cosine of each to the teacher's, ``[n]``."""
        low, high = (min(max(end, -1.0), 1.0) for end in mean_interval(scores))
        return cls(0, len(scores), low, high, cosine=float(scores.mean()))

    @classmethod
    def of_pixels(cls, right: npt.NDArray[np.int64], labeled: npt.NDArray[np.int64]) -> Accuracy:
        """Of label maps, from what was counted image by image.

        Args:
            right: pixels with their label, ``[n]``.
            labeled: pixels that have one, ``[n]``.
        """
        correct, pixels, images = int(right.sum()), int(labeled.sum()), len(right)
        share = correct / pixels
        if correct in (0, pixels):  # which no other image has to be
            low, high = wilson_interval(images if correct else 0, images)
        else:
            # Of a ratio of two sums (Cochran, Sampling Techniques, 1977, 2.11).
            low, high = mean_interval(share + (right - share * labeled) / (pixels / images))
        return cls(correct, images, max(low, 0.0), min(high, 1.0), pixels)
