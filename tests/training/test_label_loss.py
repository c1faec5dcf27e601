"""The losses of label maps are those of labels, pixel by pixel."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from pipeline.settings import IGNORED
from pipeline.training.losses import (
    distillation,
    feature_distance,
    imitation,
    label_loss,
    softened_divergence,
)

RANDOM = torch.Generator().manual_seed(0)
LOGITS, TARGET = torch.randn(2, 3, 4, 4, 5, generator=RANDOM)
LABELS = torch.randint(4, (3, 4, 5), generator=RANDOM)


def rows(maps: torch.Tensor) -> torch.Tensor:
    return torch.stack([maps[n, :, y, x] for n in range(3) for y in range(4) for x in range(5)])


def test_pixels_without_a_label_are_not_learned() -> None:
    labels = LABELS.clone()
    labels[:, 1:3] = IGNORED
    known = labels.flatten() != IGNORED
    wanted = F.cross_entropy(rows(LOGITS)[known], labels.flatten()[known])
    torch.testing.assert_close(label_loss(LOGITS, labels), wanted)


def test_maps_of_which_nothing_is_labeled_teach_nothing() -> None:
    logits = LOGITS.clone().requires_grad_()
    loss = label_loss(logits, torch.full_like(LABELS, IGNORED))
    loss.backward()
    assert loss == 0
    assert logits.grad is not None
    assert not logits.grad.any()


def test_class_255_of_labels_is_a_class() -> None:
    logits = torch.randn(4, 300, generator=RANDOM)
    labels = torch.tensor([255, 1, 255, 2])
    torch.testing.assert_close(label_loss(logits, labels), F.cross_entropy(logits, labels))


def test_the_divergence_of_maps_is_the_mean_of_their_pixels() -> None:
    wanted = softened_divergence(rows(LOGITS), rows(TARGET), 2.0)
    torch.testing.assert_close(softened_divergence(LOGITS, TARGET, 2.0), wanted)


def test_embeddings_are_imitated_as_they_are() -> None:
    given, wanted = torch.randn(2, 5, 8, generator=RANDOM)
    expected = feature_distance(given, wanted)
    torch.testing.assert_close(distillation(given, wanted, wanted, 0.9, 4.0), expected)
    torch.testing.assert_close(imitation(given, wanted, wanted, 4.0), expected)
