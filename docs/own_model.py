"""A network of one's own for a progressive bundle: what docs/blocks.md walks through.

Inverted residuals with depthwise convolutions (Sandler et al., arXiv 1801.04381), grouped into
three blocks, with one width factor for the teacher and another for the student.
"""

from __future__ import annotations

from torch import Tensor, nn

from pipeline.ingest.python import OwnModel

STRIDES = (1, 2, 2)


def model() -> OwnModel:
    """Called once, with torch seeded by the profile."""
    return OwnModel(
        teacher=MobileNet(widths=(16, 32, 64), depths=(1, 1, 2), expand=4, classes=10),
        student=MobileNet(widths=(3, 5, 16), depths=(1, 1, 1), expand=2, classes=10),
        image_shape=(1, 16, 16),
    )


class MobileNet(nn.Module):
    """The protocol is three attributes: embedder, blocks, classifier."""

    def __init__(
        self, widths: tuple[int, ...], depths: tuple[int, ...], expand: int, classes: int
    ) -> None:
        super().__init__()
        self.embedder = conv_norm(1, widths[0], kernel=3)
        self.blocks = nn.ModuleList()
        source = widths[0]
        for width, depth, stride in zip(widths, depths, STRIDES, strict=True):
            layers = [
                InvertedResidual(
                    source if i == 0 else width, width, stride if i == 0 else 1, expand
                )
                for i in range(depth)
            ]
            self.blocks.append(nn.Sequential(*layers))
            source = width
        self.classifier = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.1), nn.Linear(source, classes)
        )


class InvertedResidual(nn.Module):
    """Widen by a 1x1 convolution, filter each channel, narrow again; a shortcut where it fits."""

    def __init__(self, source: int, target: int, stride: int, expand: int) -> None:
        super().__init__()
        inner = source * expand
        self.shortcut = stride == 1 and source == target
        self.body = nn.Sequential(
            conv_norm(source, inner, kernel=1),
            conv_norm(inner, inner, kernel=3, stride=stride, groups=inner),
            conv_norm(inner, target, kernel=1, activate=False),
        )

    def forward(self, features: Tensor) -> Tensor:
        changed: Tensor = self.body(features)
        return features + changed if self.shortcut else changed


def conv_norm(
    source: int, target: int, kernel: int, stride: int = 1, groups: int = 1, activate: bool = True
) -> nn.Sequential:
    """Convolution, batch normalization and, by default, ReLU6."""
    layers: list[nn.Module] = [
        nn.Conv2d(source, target, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(target),
    ]
    return nn.Sequential(*layers, *([nn.ReLU6(inplace=True)] if activate else []))
