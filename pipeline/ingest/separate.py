"""Gives each place of a network that was cut tensors of its own.

What a library's network holds once, such as CoaT's encodings or a table of rotations, several
blocks may use. Blocks are loaded and trained each for itself, so that each takes it along.
"""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor, nn


@torch.no_grad()
def separate(network: nn.Module) -> None:
    """Copies modules with tensors, and tensors, that are at another place already.

    Args:
        network: computes what it computed; modules of its that hold others are changed.
    """
    _Places().visit(network)


class _Places:
    """What was met on the way through a network."""

    def __init__(self) -> None:
        self._modules: set[int] = set()
        self._tensors: set[int] = set()

    def visit(self, module: nn.Module) -> None:
        self._modules.add(id(module))
        for name, parameter in module._parameters.items():
            if parameter is not None and self._again(parameter):
                copied = nn.Parameter(parameter.detach().clone(), parameter.requires_grad)
                module._parameters[name] = copied
        for name, buffer in module._buffers.items():
            if buffer is not None and self._again(buffer):
                module._buffers[name] = buffer.detach().clone()
        for name, child in module._modules.items():
            if child is None:
                continue
            if id(child) in self._modules:
                if not any(True for _ in (*child.parameters(), *child.buffers())):
                    continue
                child = module._modules[name] = deepcopy(child)
            self.visit(child)

    def _again(self, tensor: Tensor) -> bool:
        met = id(tensor) in self._tensors
        self._tensors.add(id(tensor))
        return met
