"""Strided 1x1 convolutions where oneDNN cannot be trusted with their gradients.

With AVX2 alone (no AVX-512), oneDNN in torch 2.13 writes past its memory while it computes the
gradient of the weights of a strided 1x1 convolution of few channels, as ResNet's shortcuts are: a
process ends with "corrupted double-linked list" or a segmentation fault, or goes on with what it
has overwritten. A convolution of stride 1 on every second pixel is the same, and right.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn


def gradient_is_broken() -> bool:
    """Whether this processor's strided 1x1 convolutions must not compute their own gradients."""
    mkldnn: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return mkldnn and torch.backends.cpu.get_cpu_capability() == "AVX2"


@contextmanager
def subsampled(module: nn.Module, *, wanted: bool | None = None) -> Iterator[None]:
    """Has the strided 1x1 convolutions within a module take the pixels first that they look at.

    What they compute, their parameters and their names stay the same, and afterwards so do they.

    Args:
        module: to be trained.
        wanted: whether to do so; by default if `gradient_is_broken`.
    """
    if not (gradient_is_broken() if wanted is None else wanted):
        yield
        return
    with ExitStack() as stack:
        for part in module.modules():
            if isinstance(part, nn.Conv2d) and _is_strided_point(part):
                stack.callback(setattr, part, "stride", part.stride)
                stack.callback(part.register_forward_pre_hook(_every(*part.stride)).remove)
                part.stride = (1, 1)
        yield


def _is_strided_point(convolution: nn.Conv2d) -> bool:
    return (
        convolution.kernel_size == (1, 1)
        and convolution.stride != (1, 1)
        and convolution.padding in ((0, 0), "valid")
    )


def _every(rows: int, columns: int) -> Callable[[nn.Module, tuple[Any, ...]], tuple[Tensor]]:
    def take(_: nn.Module, inputs: tuple[Any, ...]) -> tuple[Tensor]:
        (features,) = inputs
        return (features[..., ::rows, ::columns],)

    return take
