"""Images that are reshaped and transposed, for LiteRT, where channels are the last axis.

Channels are shuffled so, as ShuffleNet does it, and images become tokens and tokens images.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx

from pipeline.lowering.graph import is_constant, shape_of
from pipeline.lowering.rewrite import Call

aten = torch.ops.aten

_RESHAPES = {aten.flatten.using_ints, aten.reshape.default}


def tokens_of_images(call: Call) -> Tensor | None:
    """The transposition behind ``x.flatten(2)``, ``[n, c, h * w]``: tokens are the pixels."""
    flat: Any = call.node.args[0]
    if not _swaps(call.node, 3) or flat.target not in _RESHAPES:
        return None
    source = flat.args[0]
    count, tokens, channels = call.target_shape
    if not isinstance(source, fx.Node) or is_constant(source):
        return None
    shape = call.sizes(source)
    if len(shape) != 4 or shape[:2] != (count, channels):
        return None
    return call.proxy(source).permute([0, 2, 3, 1]).reshape([count, tokens, channels])


def shuffled_channels_or_images_of_tokens(call: Call) -> Tensor | None:
    """A reshape behind a transposition, if it ends a shuffle or makes an image of tokens."""
    shuffled = shuffled_channels(call)
    return images_of_tokens(call) if shuffled is None else shuffled


def images_of_tokens(call: Call) -> Tensor | None:
    """The reshape of transposed tokens ``[n, c, h * w]`` to ``[n, c, h, w]``."""
    turned = call.node.args[0]
    if not isinstance(turned, fx.Node) or not _swaps(turned, 3):
        return None
    source: Any = turned.args[0]
    count, _, channels = call.sizes(source)
    if len(call.target_shape) != 4 or call.target_shape[:2] != (count, channels):
        return None
    sizes = [count, *call.target_shape[2:], channels]
    return call.proxy(source).reshape(sizes).permute([0, 3, 1, 2])


def shuffled_channels(call: Call) -> Tensor | None:
    """The last reshape of a shuffle, ``[n, c, h, w]`` in groups that change places with what is in
    them, for LiteRT: there the channels are the last axis, and its neighbors want no other order.
    """
    found = _shuffle(call)
    if found is None:
        return None
    source, groups = found
    count, channels, height, width = call.target_shape
    rows = call.proxy(source).permute([0, 2, 3, 1])
    parts = rows.reshape([count, height, width, groups, channels // groups])
    mixed = parts.transpose(3, 4).reshape([count, height, width, channels])
    return mixed.permute([0, 3, 1, 2])


def _shuffle(call: Call) -> tuple[fx.Node, int] | None:
    """What is shuffled, and in how many groups, if a reshape is the end of that."""
    turned = call.node.args[0]
    if not isinstance(turned, fx.Node) or not _swaps(turned, 5):
        return None
    parted = turned.args[0]
    if not isinstance(parted, fx.Node) or parted.target is not aten.reshape.default:
        return None
    source = parted.args[0]
    if not isinstance(source, fx.Node) or is_constant(source):
        return None
    count, *sizes = call.sizes(source)
    if len(sizes) != 3 or call.target_shape != (count, *sizes):
        return None
    channels, height, width = sizes
    shape = call.sizes(parted)
    if len(shape) != 5 or shape != (count, shape[1], channels // shape[1], height, width):
        return None
    return source, shape[1]


def _swaps(node: fx.Node, rank: int) -> bool:
    """Whether it lets the second and the third of some axes change places."""
    arguments: Any = node.args
    order = list(range(rank))
    if node.target is aten.transpose.int:
        return len(shape_of(node)) == rank and {axis % rank for axis in arguments[1:]} == {1, 2}
    if node.target is aten.permute.default:
        return [axis % rank for axis in arguments[1]] == [0, 2, 1, *order[3:]]
    return False
