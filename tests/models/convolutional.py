"""Convolutional networks as libraries write them, small: plain modules with names, no blocks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CLASSES = 6


class Bottleneck(nn.Module):
    """As torchvision's ResNet and ResNeXt have it."""

    def __init__(self, source: int, width: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        target = 2 * width
        self.conv1 = nn.Conv2d(source, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, groups=groups, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, target, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(target)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None
        if stride > 1 or source != target:
            shortcut = nn.Conv2d(source, target, 1, stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(target))

    def forward(self, x: Tensor) -> Tensor:
        identity = x
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        if self.downsample is not None:
            identity = self.downsample(x)
        out += identity
        return self.relu(out)


class ResNet(nn.Module):
    """Torchvision's, with bottlenecks; ResNeXt with groups."""

    def __init__(self, groups: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 7, 2, 3, bias=False)
        self.bn1, self.relu = nn.BatchNorm2d(8), nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        make = partial(Bottleneck, groups=groups)
        self.layer1 = nn.Sequential(make(8, 8), make(16, 8))
        self.layer2 = nn.Sequential(make(16, 16, 2), make(32, 16))
        self.layer3 = nn.Sequential(make(32, 32, 2))
        self.avgpool, self.fc = nn.AdaptiveAvgPool2d((1, 1)), nn.Linear(64, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(torch.flatten(self.avgpool(x), 1))


class RegNet(nn.Module):
    """Torchvision's RegNetX: groups of eight channels, however many there are."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(inplace=True)
        )
        self.trunk_output = nn.Sequential(
            Bottleneck(8, 16, 2, groups=2),
            Bottleneck(32, 24, 2, groups=3),
            Bottleneck(48, 24, 1, 3),
        )
        self.avgpool, self.fc = nn.AdaptiveAvgPool2d((1, 1)), nn.Linear(48, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.trunk_output(self.stem(x))
        return self.fc(torch.flatten(self.avgpool(x), 1))


class DenseNet(nn.Module):
    """Torchvision's: every layer takes what all before it gave."""

    class Layer(nn.Module):
        def __init__(self, source: int, growth: int) -> None:
            super().__init__()
            self.norm1, self.conv1 = nn.BatchNorm2d(source), nn.Conv2d(source, 4 * growth, 1)
            self.norm2 = nn.BatchNorm2d(4 * growth)
            self.conv2 = nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False)

        def forward(self, features: list[Tensor]) -> Tensor:
            x = self.conv1(F.relu(self.norm1(torch.cat(features, 1))))
            return self.conv2(F.relu(self.norm2(x)))

    class Block(nn.ModuleDict):
        def __init__(self, source: int, growth: int, layers: int) -> None:
            super().__init__()
            for index in range(layers):
                layer = DenseNet.Layer(source + index * growth, growth)
                self.add_module(f"denselayer{index + 1}", layer)

        def forward(self, x: Tensor) -> Tensor:
            features = [x]
            for layer in self.values():
                features.append(layer(features))
            return torch.cat(features, 1)

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential()
        self.features.add_module("conv0", nn.Conv2d(3, 8, 3, 2, 1))
        channels = 8
        for index in range(2):
            self.features.add_module(f"denseblock{index + 1}", self.Block(channels, 4, 6))
            channels += 24
            squeeze = nn.Sequential(
                nn.BatchNorm2d(channels), nn.ReLU(), nn.Conv2d(channels, 8, 1), nn.AvgPool2d(2, 2)
            )
            self.features.add_module(f"transition{index + 1}", squeeze)
            channels = 8
        self.features.add_module("norm5", nn.BatchNorm2d(channels))
        self.classifier = nn.Linear(channels, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.features(x), inplace=True)
        out = F.adaptive_avg_pool2d(out, (1, 1))
        return self.classifier(torch.flatten(out, 1))


def divisible(channels: float) -> int:
    """A multiple of 8, as MobileNet's channels are."""
    return max(8, int(channels + 4) // 8 * 8)


class ConvNormActivation(nn.Sequential):
    """Torchvision's."""

    def __init__(
        self,
        source: int,
        target: int,
        kernel: int = 3,
        stride: int = 1,
        groups: int = 1,
        activation: type[nn.Module] | None = nn.ReLU6,
    ) -> None:
        layers: list[nn.Module] = [
            nn.Conv2d(source, target, kernel, stride, (kernel - 1) // 2, groups=groups, bias=False),
            nn.BatchNorm2d(target),
        ]
        if activation is not None:
            layers.append(activation(inplace=True))
        super().__init__(*layers)


class SqueezeExcitation(nn.Module):
    """Torchvision's: a gate of a sigmoid (EfficientNet) or of a hard one (MobileNetV3)."""

    def __init__(self, channels: int, squeezed: int, hard: bool) -> None:
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1, self.fc2 = nn.Conv2d(channels, squeezed, 1), nn.Conv2d(squeezed, channels, 1)
        self.activation = nn.ReLU() if hard else nn.SiLU(inplace=True)
        self.scale_activation = nn.Hardsigmoid() if hard else nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        scale = self.fc2(self.activation(self.fc1(self.avgpool(x))))
        return self.scale_activation(scale) * x


class InvertedResidual(nn.Module):
    """Of MobileNetV2 and V3 and of EfficientNet: expanded, filtered by channel, projected."""

    def __init__(
        self,
        source: int,
        target: int,
        stride: int,
        kernel: int = 3,
        activation: type[nn.Module] = nn.ReLU6,
        squeeze: str = "",
    ) -> None:
        super().__init__()
        self.use_res_connect = stride == 1 and source == target
        wide = 4 * source
        layers: list[nn.Module] = [
            ConvNormActivation(source, wide, 1, activation=activation),
            ConvNormActivation(wide, wide, kernel, stride, wide, activation),
        ]
        if squeeze:
            layers.append(SqueezeExcitation(wide, divisible(wide / 4), squeeze == "hard"))
        layers.append(ConvNormActivation(wide, target, 1, activation=None))
        self.block = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        result = self.block(x)
        if self.use_res_connect:
            result += x
        return result


class MobileNet(nn.Module):
    """Torchvision's MobileNetV2, MobileNetV3 and EfficientNet: a sequence and a classifier."""

    def __init__(self, blocks: Sequence[nn.Module], last: int, activation: type[nn.Module]) -> None:
        super().__init__()
        first = ConvNormActivation(3, 8, 3, 2, activation=activation)
        head = ConvNormActivation(last, 4 * last, 1, activation=activation)
        self.features = nn.Sequential(first, *blocks, head)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(4 * last, CLASSES))

    def forward(self, x: Tensor) -> Tensor:
        x = self.avgpool(self.features(x))
        return self.classifier(torch.flatten(x, 1))


def mobilenet_v2() -> nn.Module:
    make = InvertedResidual
    return MobileNet([make(8, 8, 1), make(8, 16, 2), make(16, 16, 1)], 16, nn.ReLU6)


def mobilenet_v3() -> nn.Module:
    make = partial(InvertedResidual, activation=nn.Hardswish, squeeze="hard")
    plain = InvertedResidual(8, 8, 1, activation=nn.ReLU)
    return MobileNet([plain, make(8, 16, 2, 5), make(16, 16, 1, 5)], 16, nn.Hardswish)


def efficientnet() -> nn.Module:
    make = partial(InvertedResidual, activation=nn.SiLU, squeeze="soft")
    stages = [
        nn.Sequential(make(8, 8, 1)),
        nn.Sequential(make(8, 16, 2, 5), make(16, 16, 1, 5)),
        nn.Sequential(make(16, 24, 2)),
    ]
    return MobileNet(stages, 24, nn.SiLU)


class ShuffleUnit(nn.Module):
    """ShuffleNetV2's."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.branch2 = nn.Sequential(
            ConvNormActivation(half, half, 1, activation=nn.ReLU),
            ConvNormActivation(half, half, 3, 1, half, None),
            ConvNormActivation(half, half, 1, activation=nn.ReLU),
        )

    def forward(self, x: Tensor) -> Tensor:
        x1, x2 = x.chunk(2, dim=1)
        out = torch.cat((x1, self.branch2(x2)), dim=1)
        batch, channels, height, width = out.size()
        out = out.view(batch, 2, channels // 2, height, width)
        return torch.transpose(out, 1, 2).contiguous().view(batch, channels, height, width)


class ShuffleNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = ConvNormActivation(3, 16, 3, 2, activation=nn.ReLU)
        self.stage2 = nn.Sequential(ShuffleUnit(16), ShuffleUnit(16))
        self.stage3 = nn.Sequential(ConvNormActivation(16, 32, 3, 2), ShuffleUnit(32))
        self.fc = nn.Linear(32, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stage3(self.stage2(self.conv1(x)))
        return self.fc(x.mean([2, 3]))


class LayerNorm2d(nn.LayerNorm):
    """Over channels, as torchvision's ConvNeXt has it."""

    def forward(self, input: Tensor) -> Tensor:
        x = input.permute(0, 2, 3, 1)
        x = F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)
        return x.permute(0, 3, 1, 2)


class Permute(nn.Module):
    """Torchvision's."""

    def __init__(self, dims: Sequence[int]) -> None:
        super().__init__()
        self.dims = dims

    def forward(self, x: Tensor) -> Tensor:
        return torch.permute(x, [*self.dims])


class CNBlock(nn.Module):
    """ConvNeXt's: channels last in the middle, its layers scaled one channel each."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            nn.Conv2d(dim, dim, 7, padding=3, groups=dim),
            Permute([0, 2, 3, 1]),
            nn.LayerNorm(dim, eps=1e-6),
            nn.Linear(dim, 4 * dim),
            nn.GELU(),
            nn.Linear(4 * dim, dim),
            Permute([0, 3, 1, 2]),
        )
        self.layer_scale = nn.Parameter(torch.ones(dim, 1, 1) * 1e-6)

    def forward(self, input: Tensor) -> Tensor:
        result = self.layer_scale * self.block(input)
        result += input
        return result


class ConvNeXt(nn.Module):
    """Torchvision's."""

    def __init__(self) -> None:
        super().__init__()
        norm = partial(LayerNorm2d, eps=1e-6)
        layers = [nn.Sequential(nn.Conv2d(3, 8, 4, 4), norm(8))]
        for source, target in ((8, 16), (16, 24)):
            layers.append(nn.Sequential(CNBlock(source), CNBlock(source)))
            layers.append(nn.Sequential(norm(source), nn.Conv2d(source, target, 2, 2)))
        layers.append(nn.Sequential(CNBlock(24)))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(norm(24), nn.Flatten(1), nn.Linear(24, CLASSES))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.avgpool(self.features(x)))


class Fire(nn.Module):
    """SqueezeNet's."""

    def __init__(self, source: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(source, squeezed, 1)
        self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
        self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)
        self.activation = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.activation(self.squeeze(x))
        wide = [self.activation(self.expand1x1(x)), self.activation(self.expand3x3(x))]
        return torch.cat(wide, 1)


class SqueezeNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 16, 3, 2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2, ceil_mode=True),
            Fire(16, 4, 8),
            Fire(16, 4, 8),
            nn.MaxPool2d(3, 2, ceil_mode=True),
            Fire(16, 8, 16),
        )
        self.classifier = nn.Sequential(
            nn.Dropout(0.5), nn.Conv2d(32, CLASSES, 1), nn.ReLU(), nn.AdaptiveAvgPool2d((1, 1))
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.flatten(self.classifier(self.features(x)), 1)
