"""Pooling, padding and rearranging, as convolutions with fixed weights and slices.

A weight of 1 beside zeros moves a value as it is: such rewritings are exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.lowering.rewrite import Call
from pipeline.lowering.rules.resize import separably


def adaptive_average(call: Call) -> Tensor | None:
    """Adaptive average pooling: a mean, a pooling of equal windows, or two weighted sums."""
    features = call.arguments[0]
    if len(call.shape) != 4:
        return None
    sizes: Any = call.target_shape[2:]
    if sizes == (1, 1):
        return torch.mean(features, [-1, -2], True)
    if kernel := _equal_windows(call.shape[2:], sizes):
        return F.avg_pool2d(features, kernel)
    return separably(call, lambda images: F.adaptive_avg_pool2d(images, sizes))


def adaptive_max(call: Call) -> tuple[Tensor, ...] | None:
    """Adaptive max pooling to windows of one size, where nobody reads the positions."""
    features = call.arguments[0]
    if len(call.shape) != 4 or any(user.args[1] != 0 for user in call.node.users):
        return None
    sizes = tuple(next(iter(call.node.users)).meta["tensor_meta"].shape)[2:]
    kernel = _equal_windows(call.shape[2:], sizes)
    return (F.max_pool2d(features, kernel),) if kernel else None


def padded_average(call: Call) -> Tensor | None:
    """Average pooling whose padding, ceiling or divisor is not the delegate's, as a convolution.

    Dividing by how many pixels a window has is a product with a constant image.
    """
    features, kernel, stride, padding, ceiling, padded, divisor = call.arguments
    if len(call.shape) != 4:
        return None
    kernel, stride, padding = _pair(kernel), _pair(stride or kernel), _pair(padding)
    if not any(padding) and not ceiling and divisor is None:
        return None
    ones = torch.ones(1, 1, *call.shape[2:])
    shares = F.avg_pool2d(ones, kernel, stride, padding, ceiling, padded, divisor)
    # As many windows as ceiling makes: the last ones hang over the lower and the right edge.
    over = [
        max((count - 1) * step + size - 2 * pad - length, 0)
        for count, step, size, pad, length in zip(
            shares.shape[2:], stride, kernel, padding, call.shape[2:], strict=True
        )
    ]
    borders = (padding[1], padding[1] + over[1], padding[0], padding[0] + over[0])
    window = torch.ones(call.shape[1], 1, *kernel)
    held = F.conv2d(F.pad(ones, borders), window[:1], stride=stride)
    sums = F.conv2d(
        F.pad(features, borders) if any(borders) else features,
        call.constant(window),
        stride=stride,
        groups=call.shape[1],
    )
    return sums * call.constant(shares / held)


def max_pooling(call: Call) -> Tensor | None:
    """Max pooling with padding or ceiling, or of windows that lie apart, for LiteRT.

    Pixels of the border repeated outside it are as good as nothing there: every window that holds a
    repetition holds the pixel, too.
    """
    features, kernel, stride, padding, dilation, ceiling = call.arguments
    if len(call.shape) != 4 or _pair(dilation) != [1, 1]:
        return None
    kernel, stride, padding = _pair(kernel), _pair(stride or kernel), _pair(padding)
    if not any(padding) and not ceiling:
        return strided_max(call)
    for axis, count, step, size, before in zip(
        (2, 3), call.target_shape[2:], stride, kernel, padding, strict=True
    ):
        length = call.shape[axis]
        after = max((count - 1) * step + size - before - length, 0)
        order = [min(max(place, 0), length - 1) for place in range(-before, length + after)]
        features = _picked(features, axis, order)
    return F.max_pool2d(features, kernel, stride)


def strided_max(call: Call) -> Tensor | None:
    """Max pooling of windows that lie apart, by way of its windows one pixel apart."""
    features, kernel, stride, padding, dilation, ceiling = call.arguments
    kernel, stride = _pair(kernel), _pair(stride or kernel)
    if len(call.shape) != 4 or all(s <= k for s, k in zip(stride, kernel, strict=True)):
        return None
    if any(_pair(padding)) or ceiling:
        return None
    dense = F.max_pool2d(features, kernel, 1, 0, dilation) if kernel != [1, 1] else features
    return _every(call, dense, call.shape[1], stride)


def reflection(call: Call) -> Tensor | None:
    return _padded(call, "reflect")


def replication(call: Call) -> Tensor | None:
    return _padded(call, "replicate")


def padding(call: Call) -> Tensor | None:
    """`F.pad` with a mode by name."""
    mode = call.arguments[2]
    return None if mode == "constant" else _padded(call, mode)


def _padded(call: Call, mode: str) -> Tensor | None:
    """Padding with pixels of the image: slices of one pixel beside the whole, axis by axis."""
    features, amounts = call.arguments[:2]
    rank = len(call.shape)
    if any(amount < 0 for amount in amounts):
        return None
    for index in range(len(amounts) // 2):
        axis = rank - 1 - index
        before, after = amounts[2 * index : 2 * index + 2]
        size = call.shape[axis]
        line = torch.arange(float(size)).reshape(1, 1, size)
        order = F.pad(line, (before, after), mode=mode).long().flatten().tolist()
        features = _picked(features, axis, order)
    return features


def _picked(features: Tensor, axis: int, order: Sequence[int]) -> Tensor:
    """The entries of an axis in some order, neighbors together in one slice."""
    runs: list[list[int]] = []
    for position in order:
        if runs and runs[-1][1] == position:
            runs[-1][1] += 1
        else:
            runs.append([position, position + 1])
    parts = [torch.ops.aten.slice.Tensor(features, axis, *run) for run in runs]
    return torch.cat(parts, axis) if len(parts) > 1 else parts[0]


def rolled(call: Call) -> Tensor | None:
    features, shifts, axes = call.arguments
    if not axes:
        return None
    for shift, axis in zip(shifts, axes, strict=True):
        size = call.shape[axis]
        order = [(position - shift) % size for position in range(size)]
        features = _picked(features, axis % len(call.shape), order)
    return features


def pixel_shuffle(call: Call) -> Tensor | None:
    """Channels to pixels: a transposed convolution whose weights are 0 and 1."""
    features, factor = call.arguments
    if len(call.shape) != 4:
        return None
    groups = call.target_shape[1]
    weight = call.constant(pixel_kernels((factor, factor)).repeat(groups, 1, 1, 1))
    return F.conv_transpose2d(features, weight, stride=factor, groups=groups)


def pixel_unshuffle(call: Call) -> Tensor | None:
    """Pixels to channels: a convolution whose weights are 0 and 1."""
    features, factor = call.arguments
    if len(call.shape) != 4:
        return None
    weight = call.constant(pixel_kernels((factor, factor)).repeat(call.shape[1], 1, 1, 1))
    return F.conv2d(features, weight, stride=factor, groups=call.shape[1])


def pixel_kernels(kernel: Sequence[int]) -> Tensor:
    """Of each pixel of a window, the kernel ``[1, height, width]`` that gives it alone."""
    height, width = kernel
    return torch.eye(height * width).reshape(-1, 1, height, width)


def channel_shuffle(call: Call) -> Tensor | None:
    features, groups = call.arguments
    channels = call.shape[1]
    order = torch.arange(channels).reshape(groups, -1).t().flatten().tolist()
    return _channels(call, features, order) if len(call.shape) == 4 else None


def strided_slice(call: Call) -> Tensor | None:
    """``x[..., ::2]``: of pixels by a 1x1 convolution with steps, of channels by one that picks."""
    features, axis, start, end, step = call.arguments
    if step == 1:
        return None
    rank, size = len(call.shape), call.shape[axis]
    axis %= rank
    order = list(range(size))[slice(start, end, step)]
    if rank == 4 and axis >= 2:
        begun = torch.ops.aten.slice.Tensor(features, axis, order[0], order[-1] + 1)
        return _every(
            call, begun, call.shape[1], [step if axis == 2 else 1, step if axis == 3 else 1]
        )
    return selected_entries(call, features, axis, order)


def indexed(call: Call) -> Tensor | None:
    """`index_select` by a constant."""
    features, axis = call.arguments[:2]
    order = call.value_of(2)
    if order is None:
        return None
    axis %= len(call.shape)
    return selected_entries(call, features, axis, [int(i) % call.shape[axis] for i in order])


def listed(call: Call) -> Tensor | None:
    """``x[:, [0, 2]]``: one axis by a constant list."""
    arguments: Any = call.node.args
    features, indices = arguments[:2]
    chosen = [axis for axis, index in enumerate(indices) if index is not None]
    if len(chosen) != 1 or indices[chosen[0]].op != "get_attr":
        return None
    order = call.body.get_buffer(str(indices[chosen[0]].target))
    if order.dim() != 1 or order.dtype == torch.bool:
        return None
    size = call.shape[chosen[0]]
    return selected_entries(call, call.proxy(features), chosen[0], [int(i) % size for i in order])


def selected_entries(call: Call, features: Tensor, axis: int, order: Sequence[int]) -> Tensor:
    """The entries of an axis in some order, by a product with a matrix of 0 and 1."""
    rank, size = len(call.shape), call.shape[axis]
    if rank == 4 and axis == 1:
        return _channels(call, features, order)
    picks = call.constant(torch.eye(size)[list(order)])
    if axis == rank - 1:
        return F.linear(features, picks)
    return F.linear(features.transpose(axis, -1), picks).transpose(axis, -1)


def _channels(call: Call, features: Tensor, order: Sequence[int]) -> Tensor:
    """Channels in some order, by a 1x1 convolution that picks."""
    weight = torch.eye(call.shape[1])[list(order)].reshape(len(order), -1, 1, 1)
    return F.conv2d(features, call.constant(weight))


def _every(call: Call, features: Tensor, channels: int, steps: Sequence[int]) -> Tensor:
    """Pixels that lie some steps apart."""
    weight = call.constant(torch.ones(channels, 1, 1, 1))
    return F.conv2d(features, weight, stride=list(steps), groups=channels)


def _equal_windows(sizes: Sequence[int], new: Sequence[int]) -> list[int] | None:
    if any(size % count for size, count in zip(sizes, new, strict=True)):
        return None
    return [size // count for size, count in zip(sizes, new, strict=True)]


def _pair(value: int | Sequence[int]) -> list[int]:
    values = [value] if isinstance(value, int) else list(value)
    return values * 2 if len(values) == 1 else values
