"""From arrays to tensors, and to a GPU's memory without waiting for what it still computes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor


def tensor_of(values: npt.NDArray[Any]) -> Tensor:
    """An array as a tensor, of the same memory where it may be written to.

    Of what nobody may write to, such as a file that is mapped, torch takes no tensor without a
    warning: a copy.
    """
    return torch.from_numpy(np.require(values, requirements=["C", "W"]))


def moved(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor on a device; itself where it is there already."""
    if tensor.device == device:
        return tensor
    if tensor.device.type == "cpu" and device.type == "cuda":
        # From pages that may be swapped, torch would wait until all earlier steps are done.
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)
