"""Weights that are computed from others, as weight norm's are, made plain before they get fewer."""

from __future__ import annotations

from copy import deepcopy
from typing import TypeVar

import torch
from torch import nn
from torch.nn.utils import parametrize
from torch.nn.utils.spectral_norm import SpectralNorm, remove_spectral_norm
from torch.nn.utils.weight_norm import WeightNorm, remove_weight_norm

_Network = TypeVar("_Network", bound=nn.Module)


@torch.no_grad()
def with_plain_weights(network: _Network) -> _Network:
    """A copy of a network whose layers hold their weights themselves, with the same answers.

    Args:
        network: in eval mode; it stays as it is.
    """
    plain = deepcopy(network)
    for module in [*plain.modules()]:
        if parametrize.is_parametrized(module):
            # A copy shares its class with the original, which keeps what is taken from this one.
            kind = type(module)
            module.__class__ = type(kind.__name__, kind.__bases__, dict(vars(kind)))
        for name in [*getattr(module, "parametrizations", {})]:
            parametrize.remove_parametrizations(module, name, leave_parametrized=True)
        for hook in [*module._forward_pre_hooks.values()]:
            if isinstance(hook, WeightNorm):
                remove_weight_norm(module, hook.name)
            elif isinstance(hook, SpectralNorm):
                remove_spectral_norm(module, hook.name)
    return plain
