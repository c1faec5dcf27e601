"""Batch normalization over the batch of all processes together.

Networks that normalize with the statistics of their own share only would learn something else than
one process does. PyTorch's SyncBatchNorm does the same, on GPUs alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce

from pipeline.core.errors import UsageError
from pipeline.training.processes import Processes

_Norm = nn.modules.batchnorm._BatchNorm


@contextmanager
def shared_norms(module: nn.Module, processes: Processes) -> Iterator[None]:
    """Has every batch normalization within a module count the shares of all processes.

    Parameters, buffers and their names stay the same ones, and afterwards so do the modules.

    Raises:
        UsageError: one of them normalizes in a way that cannot be shared.
    """
    places = [
        (parent, name, child)
        for parent in module.modules()
        for name, child in parent.named_children()
        if isinstance(child, _Norm) and processes.count > 1
    ]
    shared = [_SharedNorm(norm, processes) for _, _, norm in places]
    for (parent, name, _), stand_in in zip(places, shared, strict=True):
        setattr(parent, name, stand_in)
    try:
        yield
    finally:
        for parent, name, norm in places:
            norm.train(getattr(parent, name).training)
            setattr(parent, name, norm)


def _refused(norm: _Norm, why: str) -> UsageError:
    return UsageError(
        f"{norm} cannot count the images of several processes: {why}",
        "train in one process, or use nn.BatchNorm2d with affine = True and a momentum",
    )


class _SharedNorm(nn.Module):
    """Stands in for a batch normalization and has its parameters and buffers for its own."""

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(self, norm: _Norm, processes: Processes) -> None:
        super().__init__()
        self._parameters, self._buffers = norm._parameters, norm._buffers
        if norm.momentum is None or norm.running_mean is None or not norm.affine:
            raise _refused(norm, "it has no weights or no moving averages of fixed momentum")
        if type(norm).forward is not _Norm.forward:
            raise _refused(norm, "it has a forward of its own")
        self._momentum, self._eps, self._processes = norm.momentum, norm.eps, processes
        self.train(norm.training)

    def forward(self, features: Tensor) -> Tensor:
        mean, variance = self.running_mean, self.running_var
        if self.training:
            mean, variance = self._statistics(features.float())
        shape = (1, -1, *(1,) * (features.dim() - 2))
        scale = torch.rsqrt(variance + self._eps) * self.weight
        shift = self.bias - mean * scale
        return (features.float() * scale.view(shape) + shift.view(shape)).to(features.dtype)

    def _statistics(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of each channel over all shares, which are equally large."""
        axes = [0, *range(2, features.dim())]
        own = torch.stack([features.mean(axes), features.var(axes, correction=0)])
        # Everyone's side by side, so that no variance is the small difference of large numbers.
        slots = [torch.zeros_like(own)] * self._processes.count
        slots[self._processes.rank] = own
        means, variances = all_reduce(torch.stack(slots)).unbind(1)  # type: ignore[no-untyped-call]
        mean = means.mean(0)
        variance = variances.mean(0) + (means - mean).square().mean(0)
        with torch.no_grad():
            count = self._processes.count * features.numel() // features.shape[1]
            self.num_batches_tracked.add_(1)
            self.running_mean.lerp_(mean, self._momentum)
            self.running_var.lerp_(variance * count / (count - 1), self._momentum)
        return mean, variance
