"""Training images where the networks compute: on a GPU they stay as they were read, if they fit."""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.data.normalization import Inputs, LazyInputs, Values
from pipeline.data.transfer import moved, tensor_of
from pipeline.training.gpu import free_on_gpu

#: Of the GPU's free memory; a share of the rest is for the teacher's features.
_SHARE = 0.25
#: How many are copied at once.
_CHUNK = 4096


def inputs_on(inputs: Inputs, device: torch.device) -> Inputs:
    """Model inputs on a device, with the same bits.

    What a data set holds lies in a GPU's memory as it was read (a byte a pixel, say) if it takes no
    more than a quarter of what is free there, and is normalized there.

    Args:
        inputs: on the processor.
        device: where they are wanted.
    """
    if device.type == "cpu" or not isinstance(inputs, LazyInputs):
        return inputs
    return DeviceInputs(inputs, device)


class DeviceInputs:
    """Model inputs that are made on a device; see `inputs_on`."""

    def __init__(self, inputs: LazyInputs, device: torch.device) -> None:
        self._inputs, self._device = inputs, device
        self._resident: Tensor | None = None
        if inputs.values.nbytes <= _SHARE * free_on_gpu(device):
            self._resident = _copied(inputs.values, device)

    def __len__(self) -> int:
        return len(self._inputs)

    def __getitem__(self, which: Tensor | slice, /) -> Tensor:
        if self._resident is not None:
            chosen = which if isinstance(which, slice) else moved(which, self._device)
            return self._inputs.rule.apply_to(self._resident[chosen])
        return self._inputs.rule.apply_to(moved(self._inputs.picked(which), self._device))


def _copied(values: Values, device: torch.device) -> Tensor:
    """All values on a device."""
    copied = torch.empty(values.shape, dtype=tensor_of(values[:1]).dtype, device=device)
    for start in range(0, len(values), _CHUNK):
        part = slice(start, start + _CHUNK)
        copied[part] = tensor_of(values[part])
    return copied
