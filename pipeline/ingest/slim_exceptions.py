"""Layers of a network that is made slimmer which do not give a share of their channels.

They are looked for where a network does not run with the same share of everything.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from math import lcm
from typing import cast

from torch import Tensor, nn

from pipeline.ingest.slim_layers import Layer, fit_input, groups_of, widths_of
from pipeline.ingest.slim_tables import HEADS


def head_layers(network: nn.Module) -> Iterator[nn.Module]:
    """Layers that give a value for each head of an attention, which keeps its heads."""
    for module in network.modules():
        counts = [vars(module).get(name) for name in HEADS]
        for part in module.modules():
            if isinstance(part, Layer) and any(count in widths_of(part) for count in counts):
                yield part


def group_step(layers: Collection[Layer]) -> int:
    """What channels have to be multiples of where groups keep their width, not their number."""
    grouped = [cast(nn.Conv2d, layer) for layer in layers if groups_of(layer) > 1]
    return lcm(*(layer.in_channels // layer.groups for layer in grouped))


def uncalled(network: nn.Module, called: Collection[nn.Module]) -> list[nn.Linear]:
    """Linear layers whose weights a function takes, so that nothing reaches the layer itself."""
    held = {id(part) for module in called for part in module.modules()}
    found = (part for part in network.modules() if isinstance(part, nn.Linear))
    return [layer for layer in found if id(layer) not in held]


class PlaceLayers:
    """Linear layers over places, such as an MLP-Mixer's over its tokens: they give as many.

    Args:
        before: the shape of what reached each layer of the wider network, and its own channels.
    """

    def __init__(self, before: Mapping[nn.Linear, tuple[tuple[int, ...], int]]) -> None:
        self._before = before

    def fit(self, layer: Layer, features: Tensor, axis: int) -> None:
        """As `fit_input`; groups keep their width, layers over places their channels."""
        if isinstance(layer, nn.Linear) and layer in self._before:
            shape, channels = self._before[layer]
            if features.shape[1:-1] != shape[1:-1]:  # what were channels lies elsewhere
                layer.out_features = channels
        elif groups_of(layer) > 1:
            convolution = cast(nn.Conv2d, layer)
            width = convolution.in_channels // convolution.groups
            convolution.groups = max(1, features.shape[axis] // width)
        fit_input(layer, features, axis)
