"""A small ResNet as torchvision writes them: what docs/own-model.md begins with.

It knows nothing of blocks or of progressive loading; He et al., arXiv 1512.03385.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ResNet(nn.Module):
    """A stem, four layers of two residual blocks each, an average and a linear layer."""

    def __init__(self, width: int = 8, classes: int = 10, channels: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.layer1 = self._layer(width, width, 1)
        self.layer2 = self._layer(width, 2 * width, 2)
        self.layer3 = self._layer(2 * width, 3 * width, 2)
        self.layer4 = self._layer(3 * width, 4 * width, 1)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(4 * width, classes)

    @staticmethod
    def _layer(source: int, target: int, stride: int) -> nn.Sequential:
        return nn.Sequential(BasicBlock(source, target, stride), BasicBlock(target, target, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        logits: Tensor = self.fc(torch.flatten(self.avgpool(x), 1))
        return logits


class BasicBlock(nn.Module):
    """Two convolutions and a shortcut around them."""

    def __init__(self, source: int, target: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(source, target, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(target)
        self.conv2 = nn.Conv2d(target, target, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(target)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None
        if stride > 1 or source != target:
            shortcut = nn.Conv2d(source, target, 1, stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(target))

    def forward(self, x: Tensor) -> Tensor:
        identity = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += identity
        y: Tensor = self.relu(out)
        return y
