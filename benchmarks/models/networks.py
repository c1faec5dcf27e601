"""Networks of the sizes that people ship, with random weights: what benchmarks/sizes.py builds.

Weights do not change what loading, packing and computing take, so nothing is trained. Each function
is what a profile's `[model] source = "python:FILE.py:FUNCTION"` calls.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.ingest.python import OwnModel
from pipeline.model.blocknet import BlockNet
from pipeline.model.family import build_model
from pipeline.model.pwl import PwlModel
from pipeline.model.vit import vit
from pipeline.settings import VitSettings, load_settings

CLASSES = 1000
_PROFILES = Path(__file__).resolve().parents[2] / "profiles"


def demo() -> OwnModel:
    """The demo's ResNet at 32 pixels, 21 MB, and its student."""
    return _of_profile("digits-resnet", (1, 32, 32), 10)


def paper_vgg() -> OwnModel:
    """The paper's VGG on CIFAR-10, 59 MB, and its student."""
    return _of_profile("cifar10-vgg", (3, 32, 32), 10)


def paper_vit() -> OwnModel:
    """The paper's ViT on CIFAR-10 at 224 pixels, 22 MB, and its student."""
    return _of_profile("cifar10-vit", (3, 224, 224), 10)


def mobilenet_v2() -> OwnModel:
    """MobileNetV2 (Sandler et al., arXiv 1801.04381) of width 1.0, 14 MB, and of width 0.35."""
    return _pair(_mobilenet(1.0), _mobilenet(0.35))


def resnet50() -> OwnModel:
    """ResNet-50 (He et al., arXiv 1512.03385), 102 MB; its student a quarter as wide, 4 layers."""
    return _pair(_resnet(64, (3, 4, 6, 3)), _resnet(16, (1, 1, 1, 1)))


def vit_b16() -> OwnModel:
    """ViT-B/16 (Dosovitskiy et al., arXiv 2010.11929), 346 MB; ViT-tiny as its student, 23 MB."""
    shape, depths = (3, 224, 224), (2,) * 6
    large = VitSettings(patch=16, width=768, heads=12, mlp_width=3072, depths=depths)
    tiny = VitSettings(patch=16, width=192, heads=3, mlp_width=768, depths=depths)
    return _pair(vit(large, shape, CLASSES), vit(tiny, shape, CLASSES))


def _of_profile(name: str, shape: tuple[int, int, int], classes: int) -> OwnModel:
    settings = load_settings(_PROFILES / f"{name}.toml")
    return _given(build_model(settings.model, shape, classes, settings.seed), shape)


def _pair(teacher: BlockNet, student: BlockNet) -> OwnModel:
    shape = (3, 224, 224)
    return _given(PwlModel.pair(teacher, student, shape), shape)


def _given(model: PwlModel, shape: tuple[int, int, int]) -> OwnModel:
    return OwnModel(model.teacher, model.student, shape, [*model.encoders], [*model.decoders])


class InvertedResidual(nn.Module):
    """Widen by a 1x1 convolution, filter each channel, narrow again; a shortcut where it fits."""

    def __init__(self, source: int, target: int, stride: int, expand: int) -> None:
        super().__init__()
        inner = source * expand
        self.shortcut = stride == 1 and source == target
        self.body = nn.Sequential(
            *([_conv_norm(source, inner)] if expand > 1 else []),
            _conv_norm(inner, inner, kernel=3, stride=stride, groups=inner),
            _conv_norm(inner, target, activate=False),
        )

    def forward(self, features: Tensor) -> Tensor:
        changed: Tensor = self.body(features)
        return features + changed if self.shortcut else changed


#: Of MobileNetV2, in four blocks: expansion, channels, layers, stride, as in its table 2.
_INVERTED = (
    ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2)),
    ((6, 64, 4, 2), (6, 96, 3, 1)),
    ((6, 160, 3, 2),),
    ((6, 320, 1, 1),),
)
_LAST = 1280  # channels before the classifier, which widths below 1 do not lessen


def _mobilenet(width: float) -> BlockNet:
    source = _channels(32 * width)
    embedder = _conv_norm(3, source, kernel=3, stride=2)
    blocks: list[nn.Sequential] = []
    for groups in _INVERTED:
        layers: list[nn.Module] = []
        for expand, channels, depth, stride in groups:
            for layer in range(depth):
                target = _channels(channels * width)
                first = stride if layer == 0 else 1
                layers.append(InvertedResidual(source, target, first, expand))
                source = target
        blocks.append(nn.Sequential(*layers))
    blocks[-1].append(_conv_norm(source, _LAST))
    return BlockNet(embedder, blocks, _classifier(_LAST))


def _channels(wanted: float) -> int:
    """The nearest multiple of 8 that is not more than a tenth less, as MobileNets have it."""
    nearest = max(8, int(wanted + 4) // 8 * 8)
    return nearest if nearest >= 0.9 * wanted else nearest + 8


class Bottleneck(nn.Module):
    """Three convolutions and a shortcut, which is projected where the shape changes."""

    def __init__(self, source: int, width: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _conv_norm(source, width),
            _conv_norm(width, width, kernel=3, stride=stride),
            _conv_norm(width, 4 * width, activate=False),
        )
        same = source == 4 * width and stride == 1
        self.shortcut = (
            nn.Identity()
            if same
            else _conv_norm(source, 4 * width, kernel=1, stride=stride, activate=False)
        )

    def forward(self, features: Tensor) -> Tensor:
        return F.relu(self.body(features) + self.shortcut(features))


def _resnet(stem: int, depths: Sequence[int]) -> BlockNet:
    embedder = nn.Sequential(_conv_norm(3, stem, kernel=7, stride=2), nn.MaxPool2d(3, 2, padding=1))
    blocks: list[nn.Module] = []
    source = stem
    for index, depth in enumerate(depths):
        layers: list[nn.Module] = []
        for layer in range(depth):
            stride = 2 if index and layer == 0 else 1
            layers.append(Bottleneck(source, stem * 2**index, stride))
            source = 4 * stem * 2**index
        blocks.append(nn.Sequential(*layers))
    return BlockNet(embedder, blocks, _classifier(source))


def _classifier(channels: int) -> nn.Module:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, CLASSES))


def _conv_norm(
    source: int,
    target: int,
    *,
    kernel: int = 1,
    stride: int = 1,
    groups: int = 1,
    activate: bool = True,
) -> nn.Sequential:
    """Convolution without bias, batch normalization and, by default, ReLU6.

    Random weights of He's variance, so that features neither vanish nor overflow.
    """
    convolution = nn.Conv2d(source, target, kernel, stride, kernel // 2, groups=groups, bias=False)
    nn.init.kaiming_normal_(convolution.weight)
    layers: list[nn.Module] = [convolution, nn.BatchNorm2d(target)]
    return nn.Sequential(*layers, *([nn.ReLU6()] if activate else []))


def parameters(network: nn.Module) -> int:
    """How many numbers it has learned, or would have."""
    return sum(each.numel() for each in network.parameters())
