"""Label maps class by class: recall, and the overlap that mean IoU is of. No torch here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.data.label_maps import Labels
from pipeline.evaluation.overlaps import overlaps
from pipeline.settings import IGNORED


@dataclass(frozen=True, slots=True)
class PixelCounts:
    """Labeled pixels by class, each ``[classes]``.

    Attributes:
        hits: that have this label, and are given it.
        given: that are given it.
        there: that have it.
        images: images in which it is.
    """

    hits: npt.NDArray[np.int64]
    given: npt.NDArray[np.int64]
    there: npt.NDArray[np.int64]
    images: npt.NDArray[np.int64]

    @classmethod
    def of(cls, predictions: Labels, labels: Labels, classes: int) -> PixelCounts:
        """Compares predicted label maps with true ones, both ``[n, height, width]``."""
        known = labels != IGNORED
        said, wanted = predictions[known], labels[known]
        return cls(
            np.bincount(wanted[said == wanted], minlength=classes),
            np.bincount(said, minlength=classes)[:classes],
            np.bincount(wanted, minlength=classes),
            images_with(labels, classes),
        )

    @property
    def overlap(self) -> tuple[float | None, ...]:
        """Intersection over union of each class; None of one that is nowhere, nor given."""
        return overlaps(self.hits.tolist(), self.given.tolist(), self.there.tolist())

    @property
    def mean_overlap(self) -> float:
        """Mean IoU: of the classes that are anywhere."""
        known = [value for value in self.overlap if value is not None]
        return sum(known) / len(known)


def images_with(labels: Labels, classes: int) -> npt.NDArray[np.int64]:
    """In how many label maps ``[n, height, width]`` each class is."""
    found = np.zeros(classes, np.int64)
    for one in labels:
        found += np.bincount(one.ravel(), minlength=classes)[:classes] > 0
    return found
