"""How what a model reads lies in memory."""

from __future__ import annotations

import torch
from torch import Tensor


def natural_order(inputs: Tensor) -> Tensor:
    """Inputs ``[n, ...]`` as training has them; of four axes, as images, channels last."""
    if inputs.dim() == 4:
        return inputs.contiguous(memory_format=torch.channels_last)
    return inputs.contiguous()
