"""An image classifier of the transformers library as a network of tensors alone."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn


class ImageClassifier(nn.Module):
    """A classifier that takes images and gives logits, not a table of outputs.

    It has the submodules and parameters of the library's model under the names that they have
    there, so that it is cut by these names. What the library's own code does between them stays:
    that runs as it is.

    Args:
        network: of a class of the library called ``...ForImageClassification``.
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

    def forward(self, images: Tensor) -> Tensor:
        """Logits ``[n, classes]`` of images ``[n, channels, height, width]``."""
        network = self._network[0]
        run: Any = type(network).forward  # not its __call__: torch.fx knows no module of that name
        logits: Tensor = run(network, pixel_values=images).logits
        return logits
