"""A network in another one's place, with its submodules under the names that they have there."""

from __future__ import annotations

from typing import Any

from torch import nn


class InnerNetwork(nn.Module):
    """A network whose edges differ from those of another one, and nothing else.

    It has the submodules, parameters and buffers of that network under the names that they have
    there, so that it is cut by these names. What the other's own code does between them stays: that
    runs as it is.

    Args:
        network: the other one.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        for name, child in network.named_children():
            self.add_module(name, child)
        for name, parameter in network.named_parameters(recurse=False):
            self.register_parameter(name, parameter)
        for name, buffer in network.named_buffers(recurse=False):
            self.register_buffer(name, buffer)
        # In a list it is no submodule, so that its parts are found under their own names alone.
        self._network = [network]
        self.training = network.training

    def run_inner(self, *values: Any, **named: Any) -> Any:
        """What the other network gives."""
        network = self._network[0]
        run: Any = type(network).forward  # not its __call__: torch.fx knows no module of that name
        return run(network, *values, **named)
