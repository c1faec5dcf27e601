"""Permutations behind what can be done before them, so that it sees images as others do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import fx

aten = torch.ops.aten


def sink_permutations(body: fx.GraphModule) -> None:
    """Moves permutations of four axes behind slices and concatenations, which then see images.

    Swin merges neighbors in maps ``[n, h, w, c]`` that way: by slices of height and width.

    Args:
        body: its calls have origins.
    """
    for node in list(body.graph.nodes):
        if (moved := _MOVES.get(node.target)) is not None:
            moved(body, node)


def _slice(body: fx.GraphModule, node: fx.Node) -> None:
    source = node.args[0]
    if (order := _order(source)) is not None:
        rest = [_before(source), order[cast(Any, node.args[1])], *node.args[2:]]
        _replace(body, node, rest, order)


def _cat(body: fx.GraphModule, node: fx.Node) -> None:
    parts: Any = node.args[0]
    orders = [_order(part) for part in parts]
    if orders[0] is not None and orders.count(orders[0]) == len(orders):
        axis = orders[0][cast(Any, node.args[1])]
        _replace(body, node, [[_before(part) for part in parts], axis], orders[0])


def _order(node: object) -> list[int] | None:
    """The axes of what is permuted, if it is a permutation of four."""
    if isinstance(node, fx.Node) and node.target is aten.permute.default:
        axes = [axis % 4 for axis in cast(Any, node.args[1])]
        return axes if len(axes) == 4 else None
    return None


def _before(node: Any) -> fx.Node:
    return cast(fx.Node, node.args[0])


def _replace(body: fx.GraphModule, node: fx.Node, arguments: list[Any], order: list[int]) -> None:
    with body.graph.inserting_before(node):
        inner = body.graph.call_function(cast(Any, node.target), tuple(arguments))
        outer = body.graph.call_function(aten.permute.default, (inner, order))
    for made in (inner, outer):
        made.meta["origin"] = node.meta["origin"]
    node.replace_all_uses_with(outer)
    body.graph.erase_node(node)


_MOVES: dict[Any, Callable[[fx.GraphModule, fx.Node], None]] = {
    aten.cat.default: _cat,
    aten.slice.Tensor: _slice,
}
