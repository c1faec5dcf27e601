"""How good each answer is, image by image, and how sure a difference of two models is.

A label is right or wrong. A label map is right at so many of its labeled pixels: these are no
trials of their own, for neighbors err together, so that intervals count images, not pixels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.core.intervals import mean_interval, paired_difference
from pipeline.data.label_maps import Labels, are_embeddings
from pipeline.settings import IGNORED

#: One of each image, whose mean is the accuracy: bool ``[n]``, or of maps and embeddings float64.
Scores = npt.NDArray[Any]


def label_scores(predictions: Labels, labels: Labels) -> Scores:
    """How good each prediction is.

    Args:
        predictions: ``[..., n]``, ``[..., n, height, width]``, or embeddings ``[..., n, width]``.
        labels: ``[n]``, ``[n, height, width]``, or embeddings float32 ``[n, width]``.

    Returns:
        Of embeddings the cosine of each to the teacher's. Of labels whether each is right; of label
        maps, the image's right pixels over the mean number of labeled pixels, ``[..., n]``.
    """
    if are_embeddings(labels):
        return cosines(predictions, labels)
    if labels.ndim == 1:
        return np.asarray(predictions == labels)
    there = labels != IGNORED
    right = ((predictions == labels) & there).sum(axis=(-2, -1))
    return np.asarray(right / (there.sum() / len(labels)))


def cosines(embeddings: Labels, wanted: Labels) -> npt.NDArray[np.float64]:
    """Of each embedding ``[..., n, width]`` to the one that it should be.

    Zeros alone have no direction: they are right where zeros are wanted, with a cosine of 1, and
    wrong where anything else is, or is given, with 0. As `harness/embeddings.cc`.
    """
    one, other = embeddings.astype(np.float64), wanted.astype(np.float64)
    given, asked = np.linalg.norm(one, axis=-1), np.linalg.norm(other, axis=-1)
    lengths = given * asked
    products = (one * other).sum(axis=-1)
    zeros = ((given == 0) & (asked == 0)).astype(np.float64)
    found = np.divide(products, lengths, out=zeros, where=lengths > 0)
    return np.asarray(found.clip(-1, 1).round(12))


def agreement_of(predictions: Labels, eager: Labels, labels: Labels) -> float:
    """How far two models give the same answers: the share of equal labels, of labeled pixels
    alone; of embeddings the mean cosine of one's to the other's.
    """
    if are_embeddings(labels):
        return float(cosines(predictions, eager).mean())
    same = predictions == eager
    return float(same.mean() if labels.ndim == 1 else same[labels != IGNORED].mean())


def score_difference(before: Scores, after: Scores) -> tuple[float, float, float]:
    """The difference of two accuracies on the same images, the lower and the upper end of its 95 %
    interval: see `paired_difference`, and of label maps `mean_interval`.
    """
    if before.dtype == np.bool_:
        return paired_difference(before, after)
    differences = after - before
    low, high = mean_interval(differences)
    return float(differences.mean()), max(low, -2.0), min(high, 2.0)
