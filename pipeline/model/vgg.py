"""The VGG family with batch normalization (Simonyan and Zisserman, arXiv 1409.1556)."""

from __future__ import annotations

from torch import nn

from pipeline.core.errors import UsageError
from pipeline.model.blocknet import BlockNet
from pipeline.model.convolution import ConvNorm, PooledLinear
from pipeline.settings import VggSettings


def vgg(settings: VggSettings, image_shape: tuple[int, int, int], classes: int) -> BlockNet:
    """A freshly initialized network: per block some 3x3 convolutions and a maximum pooling.

    There is no embedder: the first block takes the images.

    Args:
        settings: widths, depths and poolings.
        image_shape: channels, height, width of one image.
        classes: number of labels.

    Raises:
        UsageError: the poolings would leave nothing of the image.
    """
    source, height, width = image_shape
    poolings, smallest = len(settings.widths), settings.smallest_image
    if min(height, width) < smallest:
        raise UsageError(
            f"images of {height}x{width} pixels are too small for {poolings} poolings, which leave "
            f"nothing of them: {smallest}x{smallest} is the smallest size",
            f"set data.image_size to {smallest} or more, or give the model fewer blocks",
        )
    blocks: list[nn.Module] = []
    for channels, depth in zip(settings.widths, settings.depths, strict=True):
        layers: list[nn.Module] = [
            ConvNorm(source if layer == 0 else channels, channels, bias=True)
            for layer in range(depth)
        ]
        blocks.append(
            nn.Sequential(*layers, nn.MaxPool2d(settings.pool_kernel, settings.pool_stride))
        )
        source = channels
    return BlockNet(nn.Identity(), blocks, PooledLinear(source, classes))
