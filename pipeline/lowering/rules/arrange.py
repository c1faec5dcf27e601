"""Taking tensors apart and putting them together, by slices, reshapes and concatenations."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.lowering.rewrite import Call

aten = torch.ops.aten

_TOGETHER = 4

#: They take two tensors of which one spreads over the other.
_SPREADING = {
    aten.add.Tensor,
    aten.div.Tensor,
    aten.maximum.default,
    aten.minimum.default,
    aten.mul.Tensor,
    aten.sub.Tensor,
}


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
    """`cat` of many tensors, a few at a time: the delegate takes up to five.

    The converter makes one of two that follow each other, so something that changes nothing stands
    between them: a depthwise convolution, or a maximum where it is no image.
    """
    parts, axis = call.arguments
    if len(call.target_shape) != 4:
        return _by_maxima(call, parts, axis)
    if len(parts) <= _TOGETHER:
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


def _by_maxima(call: Call, parts: list[Tensor], axis: int) -> Tensor | None:
    """Tensors that are no images in one, with maxima that change nothing between them."""
    if len(parts) <= _TOGETHER + 1:
        return None
    least = call.constant(torch.full([1] * len(call.target_shape), -torch.inf))
    while len(parts) > _TOGETHER + 1:
        parts = _by_fours(parts, lambda piece: torch.maximum(torch.cat(piece, axis), least))
    return torch.cat(parts, axis)


def _by_fours(parts: list[Tensor], join: Callable[[list[Tensor]], Tensor]) -> list[Tensor]:
    """Neighbors joined, a few at a time."""
    pieces = [parts[start : start + _TOGETHER] for start in range(0, len(parts), _TOGETHER)]
    return [join(piece) if len(piece) > 1 else piece[0] for piece in pieces]


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


def repeat_interleave(call: Call) -> Tensor | None:
    """Each entry of an axis some times, as keys and values of heads that share them."""
    return _interleaved(call, lambda parts, count: parts * call.constant(torch.ones(1, count, 1)))


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
        parts = _by_fours(parts, lambda piece: torch.cat(piece, axis))
    return torch.cat(parts, axis)


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


def expand_by_copies(call: Call) -> Tensor | None:
    """`expand` for LiteRT, but for what sums, products and the like do by themselves.

    Its converter makes an operator of its own even of a product with ones.
    """
    if all(user.target in _SPREADING for user in call.node.users):
        return None
    shape = call.target_shape
    old = [1] * (len(shape) - len(call.shape)) + list(call.shape)
    features = call.arguments[0]
    if len(shape) != len(call.shape):
        features = features.reshape(old)
    for axis, (before, size) in enumerate(zip(old, shape, strict=True)):
        if before != size:
            features = _beside_itself(call, features, axis, size)
    return features


def repeat_interleave_by_copies(call: Call) -> Tensor | None:
    """`repeat_interleave` for LiteRT."""
    return _interleaved(call, lambda parts, count: _beside_itself(call, parts, 1, count))


def _interleaved(call: Call, copied: Callable[[Tensor, int], Tensor]) -> Tensor | None:
    """Each entry of an axis some times, by copies along the second of three axes."""
    features, count, axis = call.arguments
    if not isinstance(count, int) or axis is None:
        return None
    shape = call.shape
    axis %= len(shape)
    parts = features.reshape([math.prod(shape[: axis + 1]), 1, math.prod(shape[axis + 1 :])])
    return copied(parts, count).reshape(list(call.target_shape))


def _beside_itself(call: Call, features: Tensor, axis: int, count: int) -> Tensor:
    parts = [features] * count
    joined = _by_maxima(call, parts, axis)
    return torch.cat(parts, axis) if joined is None else joined


def linear_of_rows(call: Call) -> Tensor | None:
    """`linear` of maps ``[n, h, w, c]``, as that of rows ``[n, h * w, c]``."""
    features, *weights = call.arguments
    if len(call.shape) != 4:
        return None
    count, height, width, channels = call.shape
    rows = aten.linear.default(features.reshape([count, height * width, channels]), *weights)
    maps: Tensor = rows.reshape([*call.target_shape])
    return maps


def _slices(features: Tensor, axis: int, sizes: Sequence[int]) -> tuple[Tensor, ...]:
    parts, start = [], 0
    for size in sizes:
        parts.append(aten.slice.Tensor(features, axis, start, start + size))
        start += size
    return tuple(parts)
