"""Means, sums and extremes over axes, as poolings and as products with a column of ones.

XNNPACK's delegate for ExecuTorch takes the mean over height and width, and no other reduction.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.lowering.rewrite import Call


def mean(call: Call) -> Tensor | None:
    features, axes, keep = call.arguments[:3]
    if call.node.kwargs.get("dtype") is not None:
        return None
    return _finish(call, mean_over(call, features, call.shape, _axes(call, axes)), axes, keep)


def total(call: Call) -> Tensor | None:
    features, axes, keep = call.arguments[:3]
    if call.node.kwargs.get("dtype") is not None:
        return None
    return _finish(call, sum_over(call, features, call.shape, _axes(call, axes)), axes, keep)


def variance(call: Call) -> Tensor:
    return _spread(call)[0]


def deviation(call: Call) -> Tensor:
    return torch.sqrt(_spread(call)[0])


def variance_and_mean(call: Call) -> tuple[Tensor, ...]:
    """`var_mean`."""
    return _spread(call)


def _spread(call: Call) -> tuple[Tensor, Tensor]:
    """The variance and the mean; ``unbiased`` is the older word for a correction of 1."""
    features, axes, *rest = call.arguments
    named: Any = call.node.kwargs
    correction = named.get("correction", float(rest[0]) if rest else 1)
    keep = rest[1] if len(rest) > 1 else bool(named.get("keepdim", False))
    over = _axes(call, axes)
    count = math.prod(call.shape[axis] for axis in over)
    middle = mean_over(call, features, call.shape, over)
    centered = features - middle
    found = mean_over(call, centered * centered, call.shape, over)
    found = found * (count / (count - (1 if correction is None else correction)))
    if keep:
        return found, middle
    shape = [size for axis, size in enumerate(call.shape) if axis not in over]
    return found.reshape(shape), middle.reshape(shape)


def norm(call: Call) -> Tensor | None:
    """The Euclidean norm over axes, or the sum of absolute values."""
    features, order, axes, keep = call.arguments[:4]
    if order not in (1, 2) or call.node.kwargs.get("dtype") is not None:
        return None
    if order == 1:
        total = sum_over(call, torch.abs(features), call.shape, _axes(call, axes))
        return _finish(call, total, axes, keep)
    squares = sum_over(call, features * features, call.shape, _axes(call, axes))
    return _finish(call, torch.sqrt(squares), axes, keep)


def matrix_or_vector_norm(call: Call) -> Tensor | None:
    """`torch.linalg.norm`, which is Euclidean by itself and of matrices where it names two axes."""
    features, order, axes, keep = call.arguments[:4]
    over = _axes(call, axes)
    if order not in (None, 2) or (order == 2 and len(over) != 1):
        return None
    if call.node.kwargs.get("dtype") is not None:
        return None
    squares = sum_over(call, features * features, call.shape, over)
    return _finish(call, torch.sqrt(squares), axes, keep)


def largest(call: Call) -> Tensor | None:
    features, axes, keep = call.arguments[:3]
    return _extreme(call, features, axes, keep)


def smallest(call: Call) -> Tensor | None:
    features, axes, keep = call.arguments[:3]
    found = _extreme(call, torch.neg(features), axes, keep)
    return None if found is None else torch.neg(found)


def largest_pair(call: Call) -> tuple[Tensor, ...] | None:
    """``x.max(axis)`` where nobody reads the positions."""
    if any(user.args[1] != 0 for user in call.node.users):
        return None
    features, axis, keep = call.arguments[:3]
    found = _extreme(call, features, [axis], keep)
    return None if found is None else (found,)


def softmax(call: Call) -> Tensor | None:
    """Softmax over the last of three axes.

    The delegate takes four axes for those of an image, and the last one for the channels.
    """
    features, axis, dtype = call.arguments[:3]
    rank = len(call.shape)
    axis %= rank
    if dtype is not None or (rank <= 3 and axis == rank - 1):
        return None
    turned = _swapped(features, axis, rank - 1)
    shape = list(call.shape)
    shape[axis], shape[-1] = shape[-1], shape[axis]
    shares = F.softmax(turned.reshape([1, -1, shape[-1]]), -1)
    return _swapped(shares.reshape(shape), axis, rank - 1)


def log_softmax(call: Call) -> Tensor | None:
    features, axis = call.arguments[:2]
    if call.arguments[2] is not None:
        return None
    peak = max_over(call, features, call.shape, [axis % len(call.shape)])
    lowered = features - peak
    return lowered - torch.log(sum_over(call, torch.exp(lowered), call.shape, [axis]))


def log_sum_exp(call: Call) -> Tensor | None:
    features, axes, keep = call.arguments[:3]
    over = _axes(call, axes)
    peak = max_over(call, features, call.shape, over)
    total = sum_over(call, torch.exp(features - peak), call.shape, over)
    return _finish(call, torch.log(total) + peak, axes, keep)


def mean_over(call: Call, features: Tensor, shape: Sequence[int], axes: Sequence[int]) -> Tensor:
    """The mean over axes, which stay with one entry each."""
    rest = list(axes)
    shape = list(shape)
    if len(shape) == 4 and {2, 3} <= set(rest):
        features = torch.mean(features, [-1, -2], True)
        rest = [axis for axis in rest if axis < 2]
        shape[2:] = [1, 1]
    for axis in rest:
        features = _weighted(call, features, shape, axis, 1 / shape[axis])
        shape[axis] = 1
    return features


def sum_over(call: Call, features: Tensor, shape: Sequence[int], axes: Sequence[int]) -> Tensor:
    """The sum over axes, which stay with one entry each."""
    over = [axis % len(shape) for axis in axes]
    count = math.prod(shape[axis] for axis in over)
    return mean_over(call, features, shape, over) * float(count)


def _weighted(
    call: Call, features: Tensor, shape: Sequence[int], axis: int, weight: float
) -> Tensor:
    """The sum over one axis with a weight, by a convolution (channels) or a linear map."""
    rank, size = len(shape), shape[axis]
    if size == 1:
        return features
    if rank == 4 and axis == 1:
        return F.conv2d(features, call.constant(torch.full((1, size, 1, 1), weight)))
    column = call.constant(torch.full((1, size), weight))
    if axis == rank - 1:
        return F.linear(features, column)
    turned = features.transpose(axis, rank - 1)
    return F.linear(turned, column).transpose(axis, rank - 1)


def max_over(call: Call, features: Tensor, shape: Sequence[int], axes: Sequence[int]) -> Tensor:
    """The largest over axes, which stay with one entry each, by max pooling."""
    shape = list(shape)
    rest = list(axes)
    if len(shape) == 4 and {2, 3} <= set(rest):
        features = F.max_pool2d(features, shape[2:])
        rest = [axis for axis in rest if axis < 2]
        shape[2:] = [1, 1]
    for axis in rest:
        last = len(shape) - 1
        size, shape[axis] = shape[axis], 1
        turned = _swapped(features, axis, last)
        sizes = list(shape)
        sizes[axis], sizes[last] = sizes[last], 1
        pooled = F.max_pool2d(turned.reshape(1, 1, -1, size), [1, size])
        features = _swapped(pooled.reshape(sizes), axis, last)
    return features


def _swapped(features: Tensor, axis: int, other: int) -> Tensor:
    """Two axes exchanged; of an axis with itself an exporter would make an operator."""
    return features if axis == other else features.transpose(axis, other)


def _extreme(call: Call, features: Tensor, axes: Sequence[int], keep: bool) -> Tensor | None:
    found = max_over(call, features, call.shape, _axes(call, axes))
    return _finish(call, found, axes, keep)


def _axes(call: Call, axes: Sequence[int] | int | None) -> list[int]:
    rank = len(call.shape)
    if axes is None or axes == []:
        return list(range(rank))
    return [axis % rank for axis in ([axes] if isinstance(axes, int) else axes)]


def _finish(call: Call, features: Tensor, axes: object, keep: bool) -> Tensor:
    return features if keep else features.reshape(call.target_shape)
