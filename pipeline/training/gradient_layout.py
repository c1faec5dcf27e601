"""Layouts in which gradients are computed: fast ones, and right ones.

A batch normalization is to get its gradients in the layout of what they are gradients of:

torch gives the gradient of an average over the pixels as channels first, and ReLU6, hardswish and
SiLU hand it on as it is. Where the features are channels last, batch normalization then takes a
kernel for any strides, which is several times slower than to copy the gradient first: in a
MobileNet, whose widest layer is the last one, a fifth of a step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

#: Floats in the widest vector of a processor.
_VECTOR = 16
_LAYOUTS = (torch.contiguous_format, torch.channels_last)


@contextmanager
def matching_gradients(module: nn.Module) -> Iterator[None]:
    """Has every batch normalization within a module get its gradients in the layout of its output,
    and convolutions whose gradients of weights oneDNN spoils compute them in another layout.

    Gradients differ by rounding. On a GPU all stays as it is.
    """
    with ExitStack() as stack:
        for part in module.modules():
            if isinstance(part, nn.modules.batchnorm._BatchNorm):
                stack.callback(part.register_forward_hook(_lay_out).remove)
            elif isinstance(part, nn.Conv2d) and _is_spoiled(part):
                stack.callback(part.register_forward_pre_hook(_channels_first).remove)
        yield


def _is_spoiled(layer: nn.Conv2d) -> bool:
    """Whether oneDNN writes past its memory for the gradients of a convolution's weights.

    It does for kernels of one pixel that are strided, of channels last that are fewer than a
    vector holds (oneDNN's issue 6035): the process dies, or the gradients are wrong.
    """
    strided = {*layer.kernel_size} == {1} and max(layer.stride) > 1
    return strided and layer.in_channels // layer.groups < _VECTOR


def _channels_first(_: nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
    return tuple(each.contiguous() for each in given if each.is_cpu) or None


def _lay_out(_: nn.Module, __: tuple[Tensor, ...], output: Tensor) -> None:
    if not (output.requires_grad and output.is_cpu):
        return
    for layout in _LAYOUTS:
        if output.is_contiguous(memory_format=layout):
            output.register_hook(_copies_to(layout))  # type: ignore[no-untyped-call]
            return


def _copies_to(layout: torch.memory_format) -> Callable[[Tensor], Tensor]:
    """The identity of gradients that have this layout; a copy of others."""
    return lambda gradient: gradient.contiguous(memory_format=layout)
