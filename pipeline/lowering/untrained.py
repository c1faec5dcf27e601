"""An untrained model as one to try backends on: no parameter of it hides what an operator does."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pipeline.model.pwl import PwlModel

#: Of the random numbers; the same every time.
_SEED = 17


#: Random inputs that its units are compared on.
_IMAGES = 2


def untrained_images(shape: Sequence[int]) -> Tensor:
    """Random inputs ``[2, ...]`` for a model that was never trained, the same every time.

    Args:
        shape: of one.
    """
    return torch.randn(_IMAGES, *shape, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def randomized(model: PwlModel) -> PwlModel:
    """A copy in eval mode in which no tensor is as it is initialized by a constant.

    Layer scales of 1e-6, biases of 0, running means of 0 and variances of 1 would let a program
    that leaves them out, or swaps them, agree by luck. What varies already, such as the weights of
    a pretrained teacher, stays.

    Args:
        model: on the processor; it stays as it is.
    """
    generator = torch.Generator().manual_seed(_SEED)
    changed = copy.deepcopy(model).cpu().eval()
    for parameter in changed.parameters():
        if _constant(parameter):
            parameter.copy_(_around(parameter, generator))
    for part in changed.modules():
        # Any batch or instance normalization; without statistics of its own, there are none.
        if isinstance(part, nn.modules.batchnorm._NormBase):
            for statistic in (part.running_mean, part.running_var):
                if statistic is not None and _constant(statistic):
                    statistic.copy_(_around(statistic, generator))
    return changed


def _constant(tensor: Tensor) -> bool:
    """Whether all entries of a tensor of floats are the same; one entry alone is, too."""
    if not tensor.is_floating_point() or not tensor.numel():
        return False
    return bool((tensor == tensor.flatten()[0]).all())


def _around(tensor: Tensor, generator: torch.Generator) -> Tensor:
    """Values around a tensor's own, of its sign where it has one: exponents stay positive."""
    share = torch.empty_like(tensor).uniform_(0.5, 1.5, generator=generator)
    shift = torch.empty_like(tensor).uniform_(-0.2, 0.2, generator=generator)
    return tensor * share + torch.where(tensor == 0, shift, shift.abs() * tensor.sign())
