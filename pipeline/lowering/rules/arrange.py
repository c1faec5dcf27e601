"""Taking tensors apart and putting them together, by slices, reshapes and concatenations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.lowering.rewrite import Call

aten = torch.ops.aten

_TOGETHER = 4


def split(call: Call) -> tuple[Tensor, ...]:
    """`split` and `chunk` to slices."""
    features, sizes, axis = call.arguments
    size = call.shape[axis]
    if isinstance(sizes, int):
        sizes = [min(sizes, size - start) for start in range(0, size, sizes)]
    return _slices(features, axis, sizes)


def chunk(call: Call) -> tuple[Tensor, ...]:
    features, count, axis = call.arguments
    sizes = [len(part) for part in torch.arange(call.shape[axis]).chunk(count)]
    return _slices(features, axis, sizes)


def unbind(call: Call) -> tuple[Tensor, ...]:
    features, axis = call.arguments
    shape = list(call.shape)
    axis %= len(shape)
    rest = [size for index, size in enumerate(shape) if index != axis]
    parts = _slices(features, axis, [1] * shape[axis])
    return tuple(part.reshape(rest) for part in parts)


def select(call: Call) -> Tensor:
    """``x[:, 0]``: a slice and a reshape."""
    features, axis, index = call.arguments
    index %= call.shape[axis]
    part = aten.slice.Tensor(features, axis, index, index + 1)
    return part.reshape(list(call.target_shape))


def reshaped(call: Call) -> Tensor:
    """`squeeze` and `unsqueeze`."""
    features: Tensor = call.arguments[0]
    return features.reshape(list(call.target_shape))


def gated(call: Call) -> Tensor:
    """`glu`."""
    features, axis = call.arguments
    half = call.shape[axis] // 2
    value, gate = _slices(features, axis, [half, half])
    return value * torch.sigmoid(gate)


def stack(call: Call) -> Tensor:
    parts, axis = call.arguments
    axis %= len(call.target_shape)
    shape = [1 if i == axis else size for i, size in enumerate(call.target_shape)]
    return torch.cat([part.reshape(shape) for part in parts], axis)


def concatenation(call: Call) -> Tensor | None:
    """`cat` of many images, a few at a time: the delegate takes up to five.

    The converter makes one of two that follow each other, so a depthwise convolution that changes
    nothing stands between them.
    """
    parts, axis = call.arguments
    if len(parts) <= _TOGETHER or len(call.target_shape) != 4:
        return None
    listed: Any = call.node.args[0]
    sizes = [call.sizes(part)[1] for part in listed]
    while len(parts) > _TOGETHER:
        starts = range(0, len(parts), _TOGETHER)
        widths = [sizes[start : start + _TOGETHER] for start in starts]
        sizes = [sum(each) if axis % 4 == 1 else each[0] for each in widths]
        parts = [
            _joined(call, parts[start : start + _TOGETHER], axis, width)
            for start, width in zip(starts, sizes, strict=True)
        ]
    return torch.cat(parts, axis)


def _joined(call: Call, parts: list[Tensor], axis: int, width: int) -> Tensor:
    """Some images in one, with a convolution behind them that changes nothing."""
    if len(parts) == 1:
        return parts[0]
    one = call.constant(torch.ones(width, 1, 1, 1))
    return F.conv2d(torch.cat(parts, axis), one, groups=width)


def repeat(call: Call) -> Tensor | None:
    features, times = call.arguments
    if len(times) != len(call.shape):
        return None
    for axis, count in enumerate(times):
        if count != 1:
            features = torch.cat(_copies(features, count), axis)
    return features


def distinct_concatenation(call: Call) -> Tensor | None:
    """`cat` for ExecuTorch, whose partitioner takes up to five tensors, and of several the same.

    One tensor beside itself it takes for one tensor.
    """
    parts, axis = call.arguments
    if len(call.node.all_input_nodes) == 1:
        return torch.cat(_copies(parts[0], len(parts)), axis)
    if len(parts) <= _TOGETHER + 1:
        return None
    while len(parts) > _TOGETHER:
        pieces = [parts[start : start + _TOGETHER] for start in range(0, len(parts), _TOGETHER)]
        parts = [torch.cat(piece, axis) if len(piece) > 1 else piece[0] for piece in pieces]
    return torch.cat(parts, axis) if len(parts) > 1 else parts[0]


def _copies(features: Tensor, count: int) -> list[Tensor]:
    return [features, *(features * 1.0 for _ in range(count - 1))]


def expand(call: Call) -> Tensor:
    """A product with ones: how a tensor spreads over others without `expand`."""
    features = call.arguments[0]
    shape = call.target_shape
    if shape == call.shape:
        return features
    if len(shape) != len(call.shape):
        features = features.reshape([1] * (len(shape) - len(call.shape)) + list(call.shape))
    return features * call.constant(torch.ones(shape))


def _slices(features: Tensor, axis: int, sizes: Sequence[int]) -> tuple[Tensor, ...]:
    parts, start = [], 0
    for size in sizes:
        parts.append(aten.slice.Tensor(features, axis, start, start + size))
        start += size
    return tuple(parts)
