"""What the convolutional families share: a normalized convolution and a pooling classifier."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class ConvNorm(nn.Module):
    """Convolution, batch normalization and, by default, ReLU; "same" padding.

    Args:
        source, target: channels of the input and the output.
        bias: of the convolution. Batch normalization makes it superfluous; VGG has it all the same.
    """

    def __init__(
        self,
        source: int,
        target: int,
        *,
        kernel: int = 3,
        stride: int = 1,
        bias: bool = False,
        activate: bool = True,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(source, target, kernel, stride, padding=kernel // 2, bias=bias)
        self.norm = nn.BatchNorm2d(target)
        self.activate = activate

    def forward(self, features: Tensor) -> Tensor:
        features = self.norm(self.conv(features))
        return F.relu(features) if self.activate else features


class PooledLinear(nn.Module):
    """Global average pooling and a linear classifier."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.linear = nn.Linear(channels, classes)

    def forward(self, features: Tensor) -> Tensor:
        logits: Tensor = self.linear(self.pool(features).flatten(1))
        return logits
