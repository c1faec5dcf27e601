"""The ResNet family: basic residual layers (He et al., arXiv 1512.03385), grouped into blocks."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.model.blocknet import BlockNet
from pipeline.model.convolution import ConvNorm, PooledLinear
from pipeline.settings import ResNetSettings


class BasicLayer(nn.Module):
    """Two 3x3 convolutions and a shortcut, which is projected where the shape changes."""

    def __init__(self, source: int, target: int, stride: int) -> None:
        super().__init__()
        self.first = ConvNorm(source, target, stride=stride)
        self.second = ConvNorm(target, target, activate=False)
        self.shortcut = (
            nn.Identity()
            if source == target and stride == 1
            else ConvNorm(source, target, kernel=1, stride=stride, activate=False)
        )

    def forward(self, features: Tensor) -> Tensor:
        return F.relu(self.second(self.first(features)) + self.shortcut(features))


def resnet(settings: ResNetSettings, channels: int, classes: int) -> BlockNet:
    """A network for images with `channels` channels and `classes` labels, freshly initialized."""
    blocks: list[nn.Module] = []
    source = settings.stem
    for width, depth, stride in zip(
        settings.widths, settings.depths, settings.block_strides, strict=True
    ):
        layers = [
            BasicLayer(source if layer == 0 else width, width, stride if layer == 0 else 1)
            for layer in range(depth)
        ]
        blocks.append(nn.Sequential(*layers))
        source = width
    stem: nn.Module = ConvNorm(
        channels, settings.stem, kernel=settings.stem_kernel, stride=settings.stem_stride
    )
    if settings.stem_pool:
        stem = nn.Sequential(stem, nn.MaxPool2d(3, stride=2, padding=1))
    return BlockNet(stem, blocks, PooledLinear(source, classes))
