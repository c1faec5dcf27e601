"""Around a fault of oneDNN 3.12, the library with which torch 2.13 computes convolutions.

On processors with AVX2 and without AVX-512 it writes past the end of a buffer when it computes the
weights' gradient of a 1x1 convolution with a stride of images with fewer than 8 channels, channels
last in memory: ``free(): invalid next size``, and the process is gone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

#: Floats in a vector of AVX2.
_LANES = 8


@contextmanager
def safe_pointwise(module: nn.Module) -> Iterator[None]:
    """While a module is trained, its convolutions of that kind drop pixels in place of a stride.

    They compute the same, and afterwards they are as they were.
    """
    changed = [part for part in module.modules() if _affected(part)]
    for part in changed:
        part.forward = partial(_without_stride, part)
    try:
        yield
    finally:
        for part in changed:
            del part.forward  # the instance's own; the class's is left


def _affected(part: nn.Module) -> bool:
    return (
        isinstance(part, nn.Conv2d)
        and type(part).forward is nn.Conv2d.forward
        and "forward" not in vars(part)
        and part.kernel_size == (1, 1)
        and part.stride != (1, 1)
        and part.padding in ((0, 0), "valid")
        and part.in_channels < _LANES
        and torch.backends.cpu.get_cpu_capability() != "AVX512"
    )


def _without_stride(convolution: nn.Conv2d, features: Tensor) -> Tensor:
    height, width = convolution.stride
    kept = features[:, :, ::height, ::width].contiguous(memory_format=torch.channels_last)
    return F.conv2d(kept, convolution.weight, convolution.bias, groups=convolution.groups)
