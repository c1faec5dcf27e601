"""Resizing, as convolutions with fixed weights and as products with matrices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.lowering.rewrite import Call


def nearest(call: Call) -> Tensor | None:
    """Nearest neighbors: a transposed convolution for whole factors, and else two selections."""
    if len(call.shape) != 4:
        return None
    new, old = call.target_shape[2:], call.shape[2:]
    if any(size % before for size, before in zip(new, old, strict=True)):
        return nearest_selected(call)
    factors = [size // before for size, before in zip(new, old, strict=True)]
    window = call.constant(torch.ones(call.shape[1], 1, *factors))
    features = call.arguments[0]
    return F.conv_transpose2d(features, window, stride=factors, groups=call.shape[1])


def nearest_selected(call: Call) -> Tensor | None:
    """Nearest neighbors by a selection of rows and one of columns.

    LiteRT's converter takes transposed convolutions of many groups apart into one for each.
    """
    return smooth(call)


def smooth(call: Call) -> Tensor | None:
    """Resizing of any kind, with antialiasing or without, as two weighted sums."""
    if len(call.shape) != 4:
        return None
    target: Any = call.node.target
    rest = call.node.args[1:]
    return separably(call, lambda images: target(images, *rest))


def bilinear(call: Call) -> Tensor | None:
    """Bilinear resizing by factors that the sizes do not have: no backend reads them.

    Seven pixels become eleven by 1.7 as well as by 11 / 7, at other places.
    """
    factors: Any = call.node.args[3]
    whole = factors is None or all(
        size * factor == new
        for size, factor, new in zip(call.shape[2:], factors, call.target_shape[2:], strict=True)
    )
    return None if whole else smooth(call)


def separably(call: Call, resize: Callable[[Tensor], Tensor]) -> Tensor:
    """A resizing as a product of rows and one of columns, whose matrices it gives itself.

    Args:
        call: of an operator on images ``[1, channels, height, width]`` that treats channels alike,
            and rows and columns apart from one another.
        resize: the operator, for as many channels as one likes.
    """
    features = call.arguments[0]
    height, width = call.shape[2:]
    # Channel k is an image of ones in its row (or column) k: what row k gives to each new row.
    rows = torch.eye(height).reshape(1, height, height, 1).expand(-1, -1, -1, width)
    columns = torch.eye(width).reshape(1, width, 1, width).expand(-1, -1, height, -1)
    down = resize(rows.contiguous())[0, :, :, 0].t()
    across = resize(columns.contiguous())[0, :, 0, :].t()
    wide = F.linear(features, call.constant(across))
    return F.linear(wide.transpose(2, 3), call.constant(down)).transpose(2, 3)
