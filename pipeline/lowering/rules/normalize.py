"""Normalizations, as means, products and one reciprocal root."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.lowering.rewrite import Call
from pipeline.lowering.rules.reduce import mean_over


def layer_norm(call: Call) -> Tensor:
    features, sizes, weight, bias, epsilon = call.arguments[:5]
    axes = _last(call.shape, len(sizes))
    centered = features - mean_over(call, features, call.shape, axes)
    variance = mean_over(call, centered * centered, call.shape, axes)
    return _affine(centered * torch.rsqrt(variance + epsilon), weight, bias)


def rms_norm(call: Call) -> Tensor:
    features, sizes, weight, epsilon = call.arguments
    if epsilon is None:
        epsilon = torch.finfo(torch.float32).eps
    axes = _last(call.shape, len(sizes))
    squares = mean_over(call, features * features, call.shape, axes)
    return _affine(features * torch.rsqrt(squares + epsilon), weight, None)


def group_norm(call: Call) -> Tensor | None:
    """Group normalization: means over pixels, then among the channels of a group."""
    features, groups, weight, bias, epsilon = call.arguments[:5]
    if len(call.shape) == 2:
        return None
    images = _as_images(features, call.shape)
    channels = call.shape[1]

    def mean(values: Tensor) -> Tensor:
        each = torch.mean(values, [-1, -2], True)
        if groups == channels:
            return each
        size = channels // groups
        down = call.constant(torch.full((groups, size, 1, 1), 1 / size))
        shared = F.conv2d(each, down, groups=groups)
        if groups == 1:
            return shared
        up = call.constant(torch.ones(channels, 1, 1, 1))
        return F.conv2d(shared, up, groups=groups)

    centered = images - mean(images)
    normal = centered * torch.rsqrt(mean(centered * centered) + epsilon)
    return _affine_channels(normal, call, weight, bias)


def instance_norm(call: Call) -> Tensor | None:
    features, weight, bias, mean, variance, own, _, epsilon = call.arguments[:8]
    images = _as_images(features, call.shape)
    if own:
        centered = images - torch.mean(images, [-1, -2], True)
        spread = torch.mean(centered * centered, [-1, -2], True) + epsilon
        return _affine_channels(centered * torch.rsqrt(spread), call, weight, bias)
    mean, variance = (call.value_of(index) for index in (3, 4))
    if mean is None or variance is None:
        return None
    centered = images - call.constant(mean.reshape(1, -1, 1, 1))
    scale = call.constant((variance + epsilon).rsqrt().reshape(1, -1, 1, 1))
    return _affine_channels(centered * scale, call, weight, bias)


def _last(shape: Sequence[int], count: int) -> list[int]:
    return list(range(len(shape) - count, len(shape)))


def _as_images(features: Tensor, shape: Sequence[int]) -> Tensor:
    if len(shape) == 4:
        return features
    return features.reshape([shape[0], shape[1], math.prod(shape[2:]), 1])


def _affine(features: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    if weight is not None:
        features = features * weight
    return features if bias is None else features + bias


def _affine_channels(
    features: Tensor, call: Call, weight: Tensor | None, bias: Tensor | None
) -> Tensor:
    parts = [None if part is None else part.reshape([1, -1, 1, 1]) for part in (weight, bias)]
    found = _affine(features, *parts)
    return found if len(call.shape) == 4 else found.reshape(list(call.shape))
