"""Pairs of small networks, one of each kind that is trained, with what they learn from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.models.networks import InvertedResidual
from pipeline.core.random_state import own_random_numbers
from pipeline.data.normalization import Normalization
from pipeline.data.tensors import Standardization
from pipeline.ingest.tokens import TokenEmbedder
from pipeline.model.blocknet import BlockNet
from pipeline.model.family import build_model
from pipeline.model.pwl import PwlModel
from pipeline.settings import (
    ResNetModel,
    ResNetSettings,
    VggModel,
    VggSettings,
    VitModel,
    VitSettings,
)
from pipeline.training.conditions import Examples

IMAGES = 24
CLASSES = 5


@dataclass(frozen=True, slots=True)
class SmallPair:
    """A fresh model, and what it learns from.

    Attributes:
        model: of two blocks.
        examples: 24 of them.
    """

    model: PwlModel
    examples: Examples


class _Wider(nn.Module):
    """Logits of a small map for every pixel of the image."""

    def forward(self, features: Tensor) -> Tensor:
        return F.interpolate(features, scale_factor=2, mode="bilinear")


class _MeanToken(nn.Module):
    def forward(self, features: Tensor) -> Tensor:
        return features.mean(1)


def _drawn() -> np.random.Generator:
    return np.random.default_rng(0)


def _labels() -> Tensor:
    return torch.arange(IMAGES) % CLASSES


def _of_images(model: PwlModel, channels: int = 3, labels: Tensor | None = None) -> SmallPair:
    pixels = _drawn().integers(0, 256, (IMAGES, 8, 8, channels), dtype=np.uint8)
    rule = Normalization((0.4,) * channels, (0.3,) * channels)
    return SmallPair(model, Examples(rule.inputs(pixels), _labels() if labels is None else labels))


def residual() -> SmallPair:
    teacher = ResNetSettings(stem=8, widths=(8, 12), depths=(1, 1), strides=(1, 2))
    student = ResNetSettings(stem=4, widths=(4, 6), depths=(1, 1), strides=(1, 2))
    settings = ResNetModel(family="resnet", teacher=teacher, student=student)
    return _of_images(build_model(settings, (3, 8, 8), CLASSES, 0))


def pooled() -> SmallPair:
    settings = VggModel(
        family="vgg",
        teacher=VggSettings(widths=(8, 12), depths=(1, 1)),
        student=VggSettings(widths=(4, 6), depths=(1, 1)),
    )
    return _of_images(build_model(settings, (3, 8, 8), CLASSES, 0))


def transformer() -> SmallPair:
    teacher = VitSettings(patch=4, width=16, heads=2, mlp_width=32, depths=(1, 1))
    student = VitSettings(patch=4, width=8, heads=2, mlp_width=16, depths=(1, 1))
    settings = VitModel(family="vit", teacher=teacher, student=student)
    return _of_images(build_model(settings, (3, 8, 8), CLASSES, 0))


def depthwise() -> SmallPair:
    def network(width: int) -> BlockNet:
        blocks = [InvertedResidual(width, width, 1, 6), InvertedResidual(width, 2 * width, 2, 6)]
        head = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(2 * width, CLASSES)
        )
        return BlockNet(nn.Conv2d(3, width, 3, padding=1), blocks, head)

    return _of_images(_pair(network, (3, 8, 8)))


def dense() -> SmallPair:
    def network(width: int) -> BlockNet:
        blocks = [nn.Sequential(nn.Conv2d(width, width, 3, 1, 1), nn.ReLU()) for _ in range(2)]
        head = nn.Sequential(nn.Conv2d(width, CLASSES, 1), _Wider())
        return BlockNet(nn.Conv2d(3, width, 3, 2, 1), blocks, head)

    maps = torch.from_numpy(_drawn().integers(0, CLASSES, (IMAGES, 8, 8), dtype=np.uint8))
    maps[:, :2] = 255  # not labeled
    return _of_images(_pair(network, (3, 8, 8)), labels=maps)


def embedding() -> SmallPair:
    def network(width: int) -> BlockNet:
        blocks = [nn.Sequential(nn.Conv2d(width, width, 3, 1, 1), nn.GELU()) for _ in range(2)]
        head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 7))
        return BlockNet(nn.Conv2d(3, width, 3, 2, 1), blocks, head)

    answers = torch.from_numpy(_drawn().standard_normal((IMAGES, 7)).astype(np.float32))
    return _of_images(_pair(network, (3, 8, 8)), labels=answers)


def tokens() -> SmallPair:
    def network(width: int) -> BlockNet:
        blocks = [
            nn.TransformerEncoderLayer(width, 2, 2 * width, 0.1, batch_first=True) for _ in range(2)
        ]
        head = nn.Sequential(_MeanToken(), nn.Linear(width, CLASSES))
        return BlockNet(TokenEmbedder(nn.Embedding(20, width), 20), blocks, head)

    values = _drawn().integers(0, 20, (IMAGES, 6)).astype(np.float32)
    examples = Examples(Standardization().inputs(values), _labels())
    return SmallPair(_pair(network, (6,)), examples)


def _pair(network: Callable[[int], BlockNet], shape: tuple[int, ...]) -> PwlModel:
    with own_random_numbers(0):
        return PwlModel.pair(network(12), network(8), shape)


SMALL_PAIRS: dict[str, Callable[[], SmallPair]] = {
    each.__name__: each
    for each in (residual, pooled, transformer, depthwise, dense, embedding, tokens)
}
