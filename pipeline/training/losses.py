"""The loss terms of distillation, in float32 whatever the networks compute in."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from pipeline.settings import IGNORED


def label_loss(logits: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
    """Cross entropy, of label maps over all labeled pixels.

    Args:
        logits: ``[n, classes]`` or ``[n, classes, height, width]``.
        labels: int64 ``[n]`` or ``[n, height, width]``.
        smoothing: share of the certainty that is given to all classes alike.
    """
    if labels.dim() == 1:
        return F.cross_entropy(logits.float(), labels, label_smoothing=smoothing)
    if not bool((labels != IGNORED).any()):  # moved out of sight: there is nothing to learn
        return 0 * logits.float().sum()
    # In rows, as the loss of maps has no deterministic kernel on a GPU.
    return F.cross_entropy(
        _rows(logits.float()), labels.flatten(), ignore_index=IGNORED, label_smoothing=smoothing
    )


def _rows(logits: Tensor) -> Tensor:
    """``[n, classes]`` as they are, ``[n, classes, height, width]`` as ``[pixels, classes]``."""
    return logits if logits.dim() == 2 else logits.movedim(1, -1).flatten(0, -2)


def softened_divergence(logits: Tensor, target: Tensor, temperature: float) -> Tensor:
    """KL divergence of two softened distributions, scaled by T² (Hinton et al., arXiv 1503.02531).

    Args:
        logits: of the network that learns, ``[n, classes]``; or ``[n, classes, height, width]``,
            whose every pixel is such a row.
        target: the teacher's logits, of the same shape.
        temperature: T.
    """
    logits, target = _rows(logits), _rows(target)
    student_outputs = F.log_softmax(logits.float() / temperature, dim=1)
    wanted = F.softmax(target.float() / temperature, dim=1)
    return temperature**2 * F.kl_div(student_outputs, wanted, reduction="batchmean")


def imitation(logits: Tensor, labels: Tensor, target: Tensor, temperature: float) -> Tensor:
    """How far a network is from the teacher: `softened_divergence`, or of embeddings
    `feature_distance`, which is told by labels that are some.
    """
    if labels.is_floating_point():
        return feature_distance(logits, target)
    return softened_divergence(logits, target, temperature)


def distillation(
    logits: Tensor, labels: Tensor, target: Tensor, alpha: float, temperature: float
) -> Tensor:
    """``alpha * CE(labels) + (1 - alpha) * T² * KL(teacher)``; of embeddings `imitation` alone."""
    if labels.is_floating_point():
        return imitation(logits, labels, target, temperature)
    hard = label_loss(logits, labels)
    return alpha * hard + (1 - alpha) * softened_divergence(logits, target, temperature)


def feature_distance(left: Tensor, right: Tensor) -> Tensor:
    """Mean squared error plus one minus the cosine of the flattened features (arXiv 2509.22319)."""
    left, right = left.float(), right.float()
    cosine = F.cosine_similarity(left.flatten(1), right.flatten(1), dim=1)
    return F.mse_loss(left, right) + (1 - cosine).mean()
