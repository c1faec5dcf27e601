"""Layers that can be made slimmer: what they give is scaled, what they take follows."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from math import gcd
from typing import Any, cast

import torch
from torch import Tensor, nn

_Convolution = nn.Conv1d | nn.Conv2d
_Batch = nn.BatchNorm1d | nn.BatchNorm2d
_Last = nn.LayerNorm | nn.RMSNorm
Layer = _Convolution | nn.Linear | _Batch | _Last | nn.GroupNorm | nn.MultiheadAttention


def layers_of(network: nn.Module) -> list[Layer]:
    """All layers of known kinds; what an attention holds is a part of it."""
    held = {
        id(part)
        for attention in network.modules()
        if isinstance(attention, nn.MultiheadAttention)
        for part in attention.children()
    }
    return [each for each in network.modules() if isinstance(each, Layer) and id(each) not in held]


def groups_of(layer: Layer) -> int:
    """What a layer's channels have to be multiples of; those of a depthwise one follow them."""
    if isinstance(layer, _Convolution) and not _depthwise(layer):
        return layer.groups
    return 1


def normalizes(layer: Layer) -> bool:
    """Whether a layer gives as many channels as it takes, whatever it is told."""
    return not isinstance(layer, _Convolution | nn.Linear)


def widths_of(layer: Layer) -> Sequence[int]:
    """How many channels a layer gives, if it is for the layer to say."""
    if isinstance(layer, nn.Linear):
        return [layer.out_features]
    if isinstance(layer, _Convolution) and not _depthwise(layer):
        return [layer.out_channels]
    return []


def logit_layers(order: Sequence[Layer], classes: int) -> list[set[Layer]]:
    """The layers at the end that give logits: those of several heads, or the last one alone."""
    weighted = [layer for layer in reversed(order) if not normalizes(layer)] or [order[-1]]
    alike = takewhile(lambda layer: [*widths_of(layer)] == [classes], weighted[1:])
    last = {weighted[0]}
    several = {*last, *alike}
    if len(several) == len(weighted):  # nothing would get slimmer
        return [last]
    return [several, last] if several != last else [last]


def channel_axis(layer: Layer, shape: Sequence[int]) -> int:
    """The axis of the channels of what reaches a layer, ``shape``.

    A class made of `nn.LayerNorm` may take images, as torchvision's and timm's for ConvNeXt do.
    """
    if isinstance(layer, nn.Linear | nn.MultiheadAttention):
        return -1
    if isinstance(layer, _Last):
        base = nn.RMSNorm if isinstance(layer, nn.RMSNorm) else nn.LayerNorm
        images = len(shape) == 4 and len(layer.normalized_shape) == 1
        own = type(layer).forward is not base.forward
        if not (images and own and shape[1] == layer.normalized_shape[0]):
            return -1
        return 1 if shape[-1] != shape[1] or not _is_last(layer, shape) else -1
    return 1


@torch.no_grad()
def _is_last(layer: _Last, shape: Sequence[int]) -> bool:
    """Whether a layer normalizes the last axis, as its base does, of what has equal axes."""
    features = torch.randn(tuple(shape), generator=torch.Generator().manual_seed(0))
    if isinstance(layer, nn.RMSNorm):
        plain = nn.RMSNorm.forward(layer, features)
    else:
        plain = nn.LayerNorm.forward(layer, features)
    return torch.allclose(layer(features), plain, atol=1e-5)


def scale_output(layer: Layer, width: float, step: int) -> None:
    """Makes a layer give a share of its channels, of a convolution a multiple of `step`."""
    if sizes := widths_of(layer):
        steps = 1 if isinstance(layer, nn.Linear) else step
        set_width(layer, scaled_width(sizes[0], width, steps))


def set_width(layer: Layer, width: int) -> None:
    """Makes a layer that says how many channels it gives give so many."""
    if isinstance(layer, nn.Linear):
        layer.out_features = width
    elif isinstance(layer, _Convolution) and not _depthwise(layer):
        layer.out_channels = width


def scaled_width(channels: int, width: float, step: int) -> int:
    """A share of some channels, in steps; at least one."""
    return max(1, round(channels * width / step)) * step


def fit_input(layer: Layer, features: Tensor, axis: int) -> None:
    """Makes a layer's tensors anew, for what reaches it; its channels lie along an axis."""
    channels = features.shape[axis]
    if isinstance(layer, nn.MultiheadAttention):
        made = _fit_attention(layer, channels)
    elif isinstance(layer, nn.Linear):
        layer.in_features = channels
        made = nn.Linear(channels, layer.out_features, layer.bias is not None)
    elif isinstance(layer, _Convolution):
        made = _fit_convolution(layer, channels)
    elif isinstance(layer, _Last):
        count = len(layer.normalized_shape)
        sizes = (channels,) if count == 1 else tuple(features.shape[-count:])
        layer.normalized_shape = sizes
        made = nn.LayerNorm(sizes, elementwise_affine=layer.weight is not None)
        if isinstance(layer, nn.RMSNorm) or layer.bias is None:
            made.register_parameter("bias", None)
    elif isinstance(layer, nn.GroupNorm):
        layer.num_channels = channels
        layer.num_groups = gcd(layer.num_groups, channels)
        made = nn.GroupNorm(layer.num_groups, channels, affine=layer.affine)
    else:
        layer.num_features = channels
        made = type(layer)(
            channels, affine=layer.affine, track_running_stats=layer.track_running_stats
        )
    for name, parameter in made.named_parameters(recurse=False):
        setattr(layer, name, parameter)
    for name, buffer in made.named_buffers():
        setattr(layer, name, buffer)


def _fit_convolution(layer: _Convolution, channels: int) -> nn.Module:
    if _depthwise(layer):
        layer.out_channels = layer.out_channels // layer.in_channels * channels
        layer.groups = channels
    layer.in_channels = channels
    sizes = channels, layer.out_channels, cast(int, layer.kernel_size)
    named: dict[str, Any] = {"groups": layer.groups, "bias": layer.bias is not None}
    try:
        return type(layer)(*sizes, **named)  # with its own parameters, such as a gain
    except Exception:  # a class whose arguments are others, such as BiT's
        base = nn.Conv1d if isinstance(layer, nn.Conv1d) else nn.Conv2d
        return base(*sizes, **named)


def _fit_attention(layer: nn.MultiheadAttention, channels: int) -> nn.Module:
    """Of queries, keys and values of as many channels each; it has as many heads as before."""
    if not layer._qkv_same_embed_dim:
        raise ValueError("an attention whose keys and values have other channels than its queries")
    bias = layer.in_proj_bias is not None
    made = nn.MultiheadAttention(
        channels, layer.num_heads, bias=bias, add_bias_kv=layer.bias_k is not None
    )
    layer.embed_dim = layer.kdim = layer.vdim = channels
    layer.head_dim = channels // layer.num_heads
    layer.out_proj = made.out_proj
    return made


def _depthwise(layer: _Convolution) -> bool:
    return layer.groups == layer.in_channels > 1
