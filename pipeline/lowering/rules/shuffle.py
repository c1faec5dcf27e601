"""Channels of images shuffled by reshapes and a transposition of five axes, as ShuffleNet's are."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx

from pipeline.lowering.graph import is_constant
from pipeline.lowering.rewrite import Call

aten = torch.ops.aten


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
    if not isinstance(turned, fx.Node) or not _swaps(turned):
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


def _swaps(node: fx.Node) -> bool:
    """Whether it lets the second and the third of five axes change places."""
    arguments: Any = node.args
    if node.target is aten.transpose.int:
        return {arguments[1] % 5, arguments[2] % 5} == {1, 2}
    if node.target is aten.permute.default:
        return [axis % 5 for axis in arguments[1]] == [0, 2, 1, 3, 4]
    return False
