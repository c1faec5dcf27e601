"""Networks that give label maps, as libraries write them, small."""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.models.convolutional import CLASSES, Bottleneck, ConvNormActivation, InvertedResidual


def twice(source: int, target: int) -> nn.Sequential:
    """Two convolutions of 3x3."""
    return nn.Sequential(
        ConvNormActivation(source, target, 3), ConvNormActivation(target, target, 3)
    )


class UNet(nn.Module):
    """What goes down is concatenated to what comes up by transposed convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.down1, self.down2, self.middle = twice(3, 8), twice(8, 16), twice(16, 32)
        self.pool = nn.MaxPool2d(2)
        self.up2, self.up1 = nn.ConvTranspose2d(32, 16, 2, 2), nn.ConvTranspose2d(16, 8, 2, 2)
        self.conv2, self.conv1 = twice(32, 16), twice(16, 8)
        self.refine, self.head = twice(8, 8), nn.Conv2d(8, CLASSES, 1)

    def forward(self, x: Tensor) -> Tensor:
        first = self.down1(x)
        second = self.down2(self.pool(first))
        x = self.up2(self.middle(self.pool(second)))
        x = self.conv2(torch.cat([second, x], 1))
        x = self.conv1(torch.cat([first, self.up1(x)], 1))
        return self.head(self.refine(x))


class FPN(nn.Module):
    """Maps of three sizes, each added to the next larger one; all summed up at the largest."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = ConvNormActivation(3, 8, 3, stride=2)
        self.layer1 = nn.Sequential(Bottleneck(8, 8), Bottleneck(16, 8))
        self.layer2 = nn.Sequential(Bottleneck(16, 16, 2), Bottleneck(32, 16))
        self.layer3 = nn.Sequential(Bottleneck(32, 32, 2))
        self.lateral = nn.ModuleList(nn.Conv2d(width, 16, 1) for width in (16, 32, 64))
        self.smooth = nn.ModuleList(nn.Conv2d(16, 16, 3, padding=1) for _ in range(3))
        self.head = nn.Conv2d(16, CLASSES, 1)

    def forward(self, x: Tensor) -> Tensor:
        size = x.shape[-2:]
        one = self.layer1(self.stem(x))
        two = self.layer2(one)
        three = self.lateral[2](self.layer3(two))
        two = self.lateral[1](two) + F.interpolate(three, scale_factor=2.0, mode="nearest")
        one = self.lateral[0](one) + F.interpolate(two, scale_factor=2.0, mode="nearest")
        maps = [smooth(x) for smooth, x in zip(self.smooth, (one, two, three), strict=True)]
        grown = [
            F.interpolate(x, size=one.shape[-2:], mode="bilinear", align_corners=False)
            for x in maps[1:]
        ]
        logits = self.head(torch.relu(maps[0] + grown[0] + grown[1]))
        return F.interpolate(logits, size=size, mode="bilinear", align_corners=False)


class LRASPP(nn.Module):
    """Torchvision's, on MobileNetV3: maps of two sizes, one weighed by what it has on average."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = ConvNormActivation(3, 8, 3, stride=2, activation=nn.Hardswish)
        make = partial(InvertedResidual, kernel=5, activation=nn.Hardswish, squeeze="hard")
        self.low = nn.Sequential(make(8, 16, 2), make(16, 16, 1))
        self.high = nn.Sequential(make(16, 24, 2), make(24, 24, 1))
        self.cbr = ConvNormActivation(24, 32, 1)
        self.scale = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(24, 32, 1, bias=False), nn.Sigmoid()
        )
        self.low_classifier, self.high_classifier = (nn.Conv2d(c, CLASSES, 1) for c in (16, 32))

    def forward(self, x: Tensor) -> Tensor:
        size = x.shape[-2:]
        low = self.low(self.stem(x))
        high = self.high(low)
        x = self.cbr(high) * self.scale(high)
        x = F.interpolate(x, size=low.shape[-2:], mode="bilinear", align_corners=False)
        logits = self.low_classifier(low) + self.high_classifier(x)
        return F.interpolate(logits, size=size, mode="bilinear", align_corners=False)


class ASPP(nn.Module):
    """Dilated convolutions side by side, and what the whole map has on average."""

    def __init__(self, source: int, width: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            [ConvNormActivation(source, width, 1)]
            + [
                nn.Sequential(
                    nn.Conv2d(source, width, 3, padding=rate, dilation=rate, bias=False),
                    nn.BatchNorm2d(width),
                    nn.ReLU(),
                )
                for rate in (2, 4)
            ]
        )
        self.pooling = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(source, width, 1), nn.ReLU()
        )
        self.project = ConvNormActivation(4 * width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        size = x.shape[-2:]
        found = [conv(x) for conv in self.convs]
        found.append(
            F.interpolate(self.pooling(x), size=size, mode="bilinear", align_corners=False)
        )
        return self.project(torch.cat(found, 1))


class DeepLab(nn.Module):
    """Torchvision's DeepLabV3: a ResNet, ASPP and a head, one after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = ConvNormActivation(3, 8, 3, stride=2)
        self.layer1 = nn.Sequential(Bottleneck(8, 8), Bottleneck(16, 8))
        self.layer2 = nn.Sequential(Bottleneck(16, 16, 2), Bottleneck(32, 16))
        self.aspp, self.head = ASPP(32, 16), nn.Conv2d(16, CLASSES, 1)

    def forward(self, x: Tensor) -> Tensor:
        logits = self.head(self.aspp(self.layer2(self.layer1(self.stem(x)))))
        return F.interpolate(logits, size=x.shape[-2:], mode="bilinear", align_corners=False)
