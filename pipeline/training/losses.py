"""The loss terms of distillation, in float32 whatever the networks compute in."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def softened_divergence(logits: Tensor, target: Tensor, temperature: float) -> Tensor:
    """KL divergence of two softened distributions, scaled by T² (Hinton et al., arXiv 1503.02531).

    Args:
        logits: of the network that learns, ``[n, classes]``.
        target: the teacher's logits, ``[n, classes]``.
        temperature: T.
    """
    student_outputs = F.log_softmax(logits.float() / temperature, dim=1)
    wanted = F.softmax(target.float() / temperature, dim=1)
    return temperature**2 * F.kl_div(student_outputs, wanted, reduction="batchmean")


def distillation(
    logits: Tensor, labels: Tensor, target: Tensor, alpha: float, temperature: float
) -> Tensor:
    """``alpha * CE(labels) + (1 - alpha) * T² * KL(teacher)``."""
    hard = F.cross_entropy(logits.float(), labels)
    return alpha * hard + (1 - alpha) * softened_divergence(logits, target, temperature)


def feature_distance(left: Tensor, right: Tensor) -> Tensor:
    """Mean squared error plus one minus the cosine of the flattened features (arXiv 2509.22319)."""
    left, right = left.float(), right.float()
    cosine = F.cosine_similarity(left.flatten(1), right.flatten(1), dim=1)
    return F.mse_loss(left, right) + (1 - cosine).mean()
