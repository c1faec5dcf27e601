"""From the processor's memory to a GPU's, without waiting for what the GPU still computes."""

from __future__ import annotations

import torch
from torch import Tensor


def moved(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor on a device; itself where it is there already."""
    if tensor.device == device:
        return tensor
    if tensor.device.type == "cpu" and device.type == "cuda":
        # From pages that may be swapped, torch would wait until all earlier steps are done.
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)
