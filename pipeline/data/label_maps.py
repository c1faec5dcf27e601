"""Label maps: a label for each pixel of an image, and what stands where there is none."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.core.errors import UsageError
from pipeline.settings import IGNORED, TaskMetric, metric_of

#: Labels, ``[n]`` or ``[n, height, width]``.
Labels = npt.NDArray[Any]


def label_maps(numbers: npt.NDArray[Any], where: str, ignore_index: int) -> npt.NDArray[np.uint8]:
    """Label maps ``[n, height, width]`` from an array of whole numbers.

    Args:
        numbers: as the file has them, ``[n, height, width]``, or with a last axis of one.
        where: names the array, for errors.
        ignore_index: what pixels without a label hold in it; `IGNORED` in the result.

    Raises:
        UsageError: it is no such array, a number is none of a class, or an image has no label.
    """
    if numbers.ndim == 4 and numbers.shape[3] == 1:
        numbers = numbers[..., 0]
    if not np.issubdtype(numbers.dtype, np.integer) or numbers.ndim != 3 or 0 in numbers.shape:
        raise UsageError(
            f"{where} holds {numbers.dtype} {list(numbers.shape)}",
            "a dense task takes a whole number for each pixel, [n, height, width]",
        )
    labeled = numbers != ignore_index
    if empty := int((~labeled.any(axis=(1, 2))).sum()):
        raise UsageError(
            f"{where}: {empty} of {len(numbers)} label maps have no labeled pixel, only "
            f"task.ignore_index = {ignore_index}",
            "leave these images out",
        )
    low, high = int(numbers[labeled].min()), int(numbers[labeled].max())
    if low < 0 or high >= IGNORED:
        raise UsageError(
            f"{where} goes from {low} to {high}, task.ignore_index = {ignore_index} left out",
            f"number classes from 0, to at most {IGNORED - 1}, and give pixels without one "
            "task.ignore_index",
        )
    return np.where(labeled, numbers, IGNORED).astype(np.uint8)


def classes_in(labels: Labels) -> int:
    """One more than the largest label."""
    return int(known_labels(labels).max()) + 1


def known_labels(labels: Labels) -> Labels:
    """The labels of all images, or of all labeled pixels, ``[n]``."""
    return labels[labels != IGNORED] if labels.ndim == 3 else labels


def are_embeddings(labels: Labels) -> bool:
    """Whether they are the teacher's embeddings, float32 ``[n, width]``."""
    return labels.dtype == np.float32


def metric_of_labels(labels: Labels) -> TaskMetric:
    """What models are judged by that learn these."""
    if are_embeddings(labels):
        return metric_of("embedding")
    return metric_of("dense" if labels.ndim == 3 else "classification")
