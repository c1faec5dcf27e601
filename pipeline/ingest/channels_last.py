"""Maps ``[n, h, w, c]`` between blocks, as Swin's, turned into the order that all others have.

Converters, training and programs take what passes from block to block for images ``[n, c, h, w]``.
In memory nothing moves: their edges are channels last on every backend.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from pipeline.model.blocknet import BlockNet

_TO_FIRST, _TO_LAST = (0, 3, 1, 2), (0, 2, 3, 1)


class ChannelsLast(nn.Module):
    """A module of maps ``[n, h, w, c]`` whose edges are ``[n, c, h, w]``.

    Args:
        module: the user's.
        takes, gives: whether its input and its output are such maps.
    """

    def __init__(self, module: nn.Module, takes: bool, gives: bool) -> None:
        super().__init__()
        self.module = module
        self._takes, self._gives = takes, gives
        self.training = module.training

    def forward(self, features: Tensor) -> Tensor:
        """What the module makes of features."""
        if self._takes:
            features = features.permute(_TO_LAST)
        outputs: Tensor = self.module(features)
        return outputs.permute(_TO_FIRST) if self._gives else outputs


def boundaries_channels_last(
    teacher: Sequence[Tensor], student: Sequence[Tensor], images: Tensor
) -> list[bool]:
    """Whether features behind each block but the last are maps ``[n, h, w, c]``.

    Args:
        teacher: what its blocks and its classifier make of the images.
        student: the same of its own.
        images: ``[n, channels, height, width]``.
    """
    if images.dim() != 4:
        return [False for _ in teacher[:-2]]
    height, width = images.shape[2:]
    pairs = zip(teacher[:-2], student[:-2], strict=True)
    return [
        _channels_last(tuple(mine.shape[1:]), tuple(other.shape[1:]), height / width)
        for mine, other in pairs
    ]


def _channels_last(teacher: tuple[int, ...], student: tuple[int, ...], ratio: float) -> bool:
    """Whether the first two axes are shaped like the images, and the last ones cannot be."""
    if len(teacher) != 3 or len(student) != 3 or teacher[:2] != student[:2]:
        return False
    if not _shaped(*teacher[:2], ratio):
        return False
    return teacher[2] != student[2] or not _shaped(*teacher[1:], ratio)


def _shaped(height: int, width: int, ratio: float) -> bool:
    return abs(height - width * ratio) <= 1 and abs(width - height / ratio) <= 1  # strides round


def turned(network: BlockNet, last: Sequence[bool]) -> BlockNet:
    """A network whose maps between blocks are ``[n, c, h, w]``; itself where they are already.

    Args:
        network: shares its modules.
        last: by boundary, see `boundaries_channels_last`.
    """
    if not any(last):
        return network
    edges = [False, *last, False]
    blocks = [
        ChannelsLast(block, takes, gives) if takes or gives else block
        for block, takes, gives in zip(network.blocks, edges[:-1], edges[1:], strict=True)
    ]
    made = BlockNet(network.embedder, blocks, network.classifier)
    made.training = network.training
    return made


def turned_outputs(outputs: Sequence[Tensor], last: Sequence[bool]) -> list[Tensor]:
    """What the blocks of a `turned` network make, from what they make before that."""
    turns = [*last, False, False]
    return [
        features.permute(_TO_FIRST) if turn else features
        for features, turn in zip(outputs, turns, strict=True)
    ]


def turned_converters(
    converters: Sequence[nn.Module | None], last: Sequence[bool]
) -> list[nn.Module | None]:
    """Converters of maps ``[n, h, w, c]`` as those of ``[n, c, h, w]``."""
    return [
        part if part is None or not turn else ChannelsLast(part, takes=True, gives=True)
        for part, turn in zip(converters, last, strict=True)
    ]
