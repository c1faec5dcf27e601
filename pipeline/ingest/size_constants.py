"""What a network computes of sizes alone, such as sines and cosines of positions for all layers.

It is the same for all inputs, so that each side of a cut can compute it: it does not cross.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, fx, nn

from pipeline.ingest.fx_trace import CONSTANT, ValueInterpreter, running

#: What every node of a graph gives for two images, and for three.
TwoRuns = tuple[ValueInterpreter, ValueInterpreter]

_SIZES = ("shape", "device", "dtype", "ndim")
_MISSING = object()


def two_runs(where: str, network: nn.Module, graph: fx.Graph, images: Tensor) -> TwoRuns:
    """What every node of a graph gives for two images, and for three others.

    Of other images, so that no number that is read from them is taken for a size.

    Args:
        where: how errors call the network.
        network: that the graph runs.
        graph: as traced.
        images: some, ``[n, ...]``.

    Raises:
        UsageError: it fails.
    """
    two, three = torch.cat([images[:1]] * 2), torch.cat([images[-1:]] * 3)
    with running(where, two):
        return ValueInterpreter(network, graph, two), ValueInterpreter(network, graph, three)


def note_constants(graph: fx.Graph, runs: Callable[[], TwoRuns]) -> None:
    """Notes of each value that is made of sizes alone what it is, where that is always the same.

    Args:
        graph: as traced; the `meta` of its nodes is changed.
        runs: asked for its values, as `two_runs` gives them, where there is something to note.
    """
    found = [*_of_sizes(graph)]
    if all(_is_size(node) or node.target is operator.getitem for node in found):
        return  # nothing is made of them
    two, three = runs()
    for node in found:
        if _same(two[node], three[node]):
            node.meta[CONSTANT] = two[node]


def read_again(graph: fx.Graph, features: fx.Node | None, node: fx.Node) -> Any:
    """What a node that is made of sizes gives, or None for any other.

    Args:
        graph: where it is wanted.
        features: the tensor that is there, if any.
        node: of another graph.
    """
    value = node.meta.get(CONSTANT, _MISSING)
    if value is _MISSING or isinstance(value, Tensor):
        return None
    if isinstance(value, torch.device) and features is not None:
        return graph.call_function(getattr, (features, "device"))
    return value


def size_again(graph: fx.Graph, features: fx.Node, two: Any, three: Any) -> Any:
    """A size behind a cut: a number, or so many times the number of images that are there.

    Args:
        graph: where it is wanted.
        features: the tensor that is there.
        two: what it is for two images.
        three: for three.
    """
    if isinstance(two, tuple):
        pairs = zip(two, three, strict=True)
        return tuple(size_again(graph, features, *pair) for pair in pairs)
    if isinstance(two, torch.device):
        return graph.call_function(getattr, (features, "device"))
    if two == three:
        return two
    count = graph.call_method("size", (features, 0))
    return count if two == 2 else graph.call_function(operator.mul, (count, two // 2))


def _of_sizes(graph: fx.Graph) -> Iterator[fx.Node]:
    """Reads of sizes, and what is made of nothing else but them, in the order of the graph."""
    found: set[fx.Node] = set()
    apart: set[fx.Node] = set()  # what needs no input at all
    for node in graph.nodes:
        before = node.all_input_nodes
        if node.op == "get_attr" or (node.op.startswith("call_f") and not before):
            apart.add(node)
        elif _is_size(node) or (
            node.op in ("call_function", "call_method")
            and found.intersection(before)
            and all(each in found or each in apart for each in before)
        ):
            found.add(node)
            yield node


def _is_size(node: fx.Node) -> bool:
    if node.op == "call_method":
        return node.target in ("size", "dim")
    return node.target is getattr and node.args[1] in _SIZES


def _same(two: Any, three: Any) -> bool:
    if isinstance(two, Tensor) and isinstance(three, Tensor):
        return torch.equal(two, three)
    return type(two) is type(three) and not isinstance(two, list | dict) and bool(two == three)
