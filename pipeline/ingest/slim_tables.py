"""What a user's modules hold themselves, made as narrow as the layers around them.

Scales of channels, tables of positions, tokens of classes; and numbers such as ``head_dim``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn

from pipeline.ingest.slim_layers import Layer

#: In the names of numbers that count channels.
_WORDS = ("dim", "width", "channel", "feature", "embed", "hidden", "planes", "normalized_shape")
#: In the names of those of one head of an attention.
_HEAD = ("head_dim", "head_size", "dim_head")
#: Numbers of heads, as modules call them.
HEADS = ("num_heads", "n_heads", "nhead", "heads", "num_attention_heads")

_RESHAPING = ("expand", "reshape", "view", torch.reshape)


def scale_tables(
    network: nn.Module, layers: Sequence[Layer], known: Collection[int], share: float
) -> None:
    """Keeps a share of what modules hold beside their layers, along axes as long as channels are.

    What is as long as no layer has channels stays, such as a bias of positions for each head.

    Args:
        network: its modules are changed, but for the layers.
        layers: those that are made slimmer themselves.
        known: numbers of channels of the layers before that.
        share: of the channels that is kept.
    """
    done = {id(part) for layer in layers for part in layer.modules()}
    rest = [module for module in network.modules() if id(module) not in done]
    numbers = {*known}
    for module in rest:
        numbers |= _scale_numbers(module, known, share)
    for module in rest:
        for name, tensor in [*module._parameters.items(), *module._buffers.items()]:
            if tensor is not None and tensor.is_floating_point() and tensor.numel() > 1:
                axes = [] if _is_bias_of_heads(module, name, tensor) else _axes(tensor, numbers)
                keep_first(module, name, tensor, axes, lambda size: max(1, round(size * share)))


def _scale_numbers(module: nn.Module, known: Collection[int], share: float) -> set[int]:
    """Scales the sizes that a module keeps, and gives what they were."""
    before: set[int] = set()
    for name, value in [*vars(module).items()]:
        sizes = value if isinstance(value, tuple) else (value,)
        if name.startswith("_") or not all(type(size) is int for size in sizes):
            continue
        counted = any(word in name.lower() for word in _WORDS) and {*sizes} <= {*known}
        if not counted and not any(word in name.lower() for word in _HEAD):
            continue
        scaled = [size * share for size in sizes]
        if all(size == int(size) for size in scaled):
            before |= {*sizes}
            fewer = tuple(map(int, scaled))
            setattr(module, name, fewer if isinstance(value, tuple) else fewer[0])
    return before


def scale_code(network: nn.Module, known: Collection[int], share: float) -> None:
    """Scales the sizes that were numbers when a network was cut, where tensors are reshaped.

    The same number twice in a row is the height and width of a map, whatever has as many channels.

    Args:
        network: the graphs within it are changed.
        known: numbers of channels before that; places that are as many are taken for such.
        share: of the channels that is kept.
    """

    def scaled(value: Any) -> Any:
        if isinstance(value, tuple | list):
            return type(value)(listed(value))
        counted = type(value) is int and value in known and value * share == int(value * share)
        return int(value * share) if counted else value

    def listed(sizes: Sequence[Any]) -> list[Any]:
        around = zip((None, *sizes), sizes, (*sizes[1:], None), strict=False)
        return [
            size if type(size) is int and size in (before, after) else scaled(size)
            for before, size, after in around
        ]

    for module in network.modules():
        if isinstance(module, fx.GraphModule):
            for node in module.graph.nodes:
                if node.target in _RESHAPING:
                    node.args = (node.args[0], *listed(node.args[1:]))
            module.recompile()


def _is_bias_of_heads(module: nn.Module, name: str, tensor: Tensor) -> bool:
    """Whether it has an entry for each head and distance, such as LeViT's: neither are channels."""
    counts = [vars(module).get(count) for count in HEADS]
    return "bias" in name and tensor.dim() == 2 and any(size in counts for size in tensor.shape)


def _axes(tensor: Tensor, numbers: Collection[int]) -> list[int]:
    """The axes of channels; of a table that is the same for all images, the last one alone."""
    found = [axis for axis, size in enumerate(tensor.shape) if size in numbers]
    table = tensor.dim() == 3 and tensor.shape[0] == 1
    return found[-1:] if table else found


def keep_first(
    module: nn.Module,
    name: str,
    tensor: Tensor,
    axes: Sequence[int],
    scaled: Callable[[int], int],
) -> None:
    """Makes a module hold the first entries of a tensor along some axes.

    Args:
        module: is changed.
        name: of its parameter or buffer.
        tensor: what that was.
        axes: that get shorter.
        scaled: how many are left of so many.
    """
    kept = tensor.detach()
    for axis in axes:
        kept = kept.narrow(axis, 0, scaled(tensor.shape[axis]))
    kept = kept.clone()
    setattr(module, name, nn.Parameter(kept) if isinstance(tensor, nn.Parameter) else kept)
