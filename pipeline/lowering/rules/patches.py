"""Windows of images and of axes as an axis of their own, and back, as `unfold` and `fold` do it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.lowering.rewrite import Call
from pipeline.lowering.rules.spatial import pixel_kernels, selected_entries


def image_patches(call: Call) -> Tensor | None:
    """`F.unfold`: a convolution whose weights are 0 and 1, as many of its outputs as pixels."""
    features, kernel, dilation, padding, stride = call.arguments
    if len(call.shape) != 4:
        return None
    weight = call.constant(pixel_kernels(kernel).repeat(call.shape[1], 1, 1, 1))
    patches = F.conv2d(features, weight, None, stride, padding, dilation, call.shape[1])
    return patches.reshape(list(call.target_shape))


def image_of_patches(call: Call) -> Tensor | None:
    """`F.fold` of patches side by side, which lie in the image as they lie in one another."""
    features, _, kernel, dilation, padding, stride = call.arguments
    if not _side_by_side(call, kernel, dilation, padding, stride):
        return None
    count, channels, height, width = call.target_shape
    rows, columns = height // kernel[0], width // kernel[1]
    patches = features.reshape([count * channels, *kernel, rows, columns])
    return patches.permute([0, 3, 1, 4, 2]).reshape([count, channels, height, width])


def image_of_overlapping_patches(call: Call) -> Tensor | None:
    """`F.fold` of any patches, for ExecuTorch: where they overlap, a transposed convolution."""
    if (found := image_of_patches(call)) is not None or len(call.target_shape) != 4:
        return found
    features, size, kernel, dilation, padding, stride = call.arguments
    counts, left = [], []
    for length, pixels, apart, pad, step in zip(
        size, kernel, dilation, padding, stride, strict=True
    ):
        covered = apart * (pixels - 1) + 1
        counts.append((length + 2 * pad - covered) // step + 1)
        left.append((length + 2 * pad - covered) % step)
    channels = call.target_shape[1]
    weight = call.constant(pixel_kernels(kernel).repeat(channels, 1, 1, 1))
    patches = features.reshape([call.target_shape[0], -1, *counts])
    return F.conv_transpose2d(patches, weight, None, stride, padding, left, channels, dilation)


def axis_windows(call: Call) -> Tensor:
    """``x.unfold(axis, size, step)``: windows side by side by a reshape, others by a selection."""
    features, axis, size, step = call.arguments
    rank = len(call.shape)
    axis %= rank
    count = call.target_shape[axis]
    if step == size:
        features = torch.ops.aten.slice.Tensor(features, axis, 0, count * size)
    else:
        order = [start * step + place for start in range(count) for place in range(size)]
        features = selected_entries(call, features, axis, order)
    parts = features.reshape([*call.shape[:axis], count, size, *call.shape[axis + 1 :]])
    rest = [place for place in range(rank + 1) if place != axis + 1]
    return parts.permute([*rest, axis + 1])


def _side_by_side(
    call: Call,
    kernel: Sequence[int],
    dilation: Sequence[int],
    padding: Sequence[int],
    stride: Sequence[int],
) -> bool:
    """Whether windows cover an image once, all of it."""
    if len(call.target_shape) != 4 or [*kernel] != [*stride] or any(padding):
        return False
    whole = all(
        length % size == 0 for length, size in zip(call.target_shape[2:], kernel, strict=True)
    )
    return whole and all(apart == 1 for apart in dilation)
