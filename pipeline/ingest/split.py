"""Cuts a network at named submodules into an embedder, blocks and a classifier."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any

from torch import Tensor, fx, nn

from pipeline.core.errors import UsageError
from pipeline.ingest.cuts import balanced_split
from pipeline.ingest.few_cuts import MASKS, crossing_name, is_mask
from pipeline.ingest.fx_trace import Flow, behind, traced
from pipeline.ingest.holders import holds_tensors
from pipeline.ingest.named_parts import calls_of, edges_of
from pipeline.ingest.size_constants import (
    TwoRuns,
    note_constants,
    read_again,
    size_again,
    two_runs,
)
from pipeline.model.blocknet import BlockNet

_AUTO = re.compile(r"^auto:(?P<blocks>\d+)$")


def split_network(
    source: str,
    name: str,
    network: nn.Module,
    split: Sequence[str],
    images: Tensor,
) -> BlockNet:
    """A network as blocks, which share its parameters.

    Args:
        source: how errors call the user's function.
        name: how they call the network.
        network: one tensor of images to one tensor of logits, in eval mode.
        split: paths of submodules in the order in which they run, ranges of those in a sequence,
            such as ``features[3:6]``, or from one to another, such as ``layer3..layer4``. A block
            reaches from one to the next, the last to its own end, or to the network's where it is
            written ``layer4..``; what runs before them all is the embedder, what runs after them
            the classifier. ``auto:N`` alone: see `balanced_split`.
        images: some, ``[2, channels, height, width]``.

    Raises:
        UsageError: there is no such submodule, it runs never or twice or in another order, two
            parts overlap, more than one tensor crosses a cut, or what the network does depends on
            values.
    """
    where = f"{source}: the {name}"
    automatic = _AUTO.match(split[0]) if len(split) == 1 else None
    if automatic:
        split = balanced_split(where, network, images, int(automatic["blocks"]))
    edges = [edges_of(where, network, text) for text in split]
    graph = _graph(where, network, [path for edge in edges for path in edge if path], images)
    nodes = list(graph.nodes)
    output = len(nodes) - 1
    calls = [calls_of(where, network, nodes, edge) for edge in edges]
    begins, lasts = ([nodes.index(call) for call in each] for each in zip(*calls, strict=True))
    for i, (text, following) in enumerate(pairwise(split)):
        if begins[i] >= begins[i + 1]:
            twice = f"'s split names {text} twice"
            raise UsageError(
                where + (twice if text == following else f" runs {following} before {text}"),
                "name the parts in the order in which they run, each once",
            )
        if lasts[i] >= begins[i + 1]:
            raise UsageError(
                f"{where}'s split names {text} and {following}, which have parts in common",
                "let each begin behind the end of the one before",
            )
    crossings = _Crossings(where, network, graph, images)
    end = behind(nodes, nodes[lasts[-1]]) if lasts[-1] < output else output
    ends = [*begins, crossings.closed(end)]
    given = [
        *(crossings.at(end, f"before {text}") for end, text in zip(begins, split, strict=True)),
        crossings.at(ends[-1], f"behind {split[-1]}", split[-1].partition("..")[0]),
    ]
    pieces = list(_pieces(network, nodes, ends, given))
    return BlockNet(pieces[0], pieces[1:-1], pieces[-1])


def _graph(where: str, network: nn.Module, paths: Sequence[str], images: Tensor) -> fx.Graph:
    """The network, looked into as far as some paths lead."""
    parents = [path.split(".")[:end] for path in paths for end in range(1, path.count(".") + 1)]
    holders = {".".join(parent) for parent in parents}
    if inside := sorted(holders & {*paths}):
        part = next(path for path in paths if path.startswith(f"{inside[0]}."))
        raise UsageError(
            f"{where}'s split names {inside[0]} and {part}, a part of it",
            "name parts that lie beside each other",
        )
    return traced(where, network, holders, images)


class _PieceInput:
    """What a piece is given: one tensor, and sizes that can be told from it or from nothing.

    Attributes:
        tensor: the one value that is made before a cut and used behind it.
        sizes: what else is used behind it that is no tensor, as it is for 2 images and for 3.
    """

    def __init__(self, tensor: fx.Node, sizes: dict[fx.Node, tuple[Any, Any]]) -> None:
        self.tensor = tensor
        self.sizes = sizes

    def again(self, graph: fx.Graph, features: fx.Node, node: fx.Node) -> Any:
        """A size as a piece finds it: a number, or so many times its own number of images."""
        return size_again(graph, features, *self.sizes[node])


class _Crossings:
    """What crosses the cuts of a graph.

    Args:
        where: how errors call the network.
        network: that the graph runs.
        graph: as traced; its constants are noted.
        images: some, two of them.
    """

    def __init__(self, where: str, network: nn.Module, graph: fx.Graph, images: Tensor) -> None:
        self._where = where
        self._network, self._graph, self._images = network, graph, images
        note_constants(graph, lambda: self._values)
        self._flow = Flow(graph)

    def closed(self, end: int) -> int:
        """Where a block ends whose last submodule does, or a shortcut around that.

        The next submodule that is called is none of it.
        """
        for place in range(end, len(self._flow.nodes) - 1):
            if len(self._tensors(place)[0]) == 1:
                return place
            if self._flow.nodes[place].op == "call_module":
                break
        return end

    def at(self, end: int, text: str, last: str = "") -> _PieceInput:
        """What crosses before the node at `end`.

        Args:
            end: the index of a node.
            text: how errors call the place.
            last: with what the last block begins, where it is that one's end.

        Raises:
            UsageError: that is more than one tensor, or none.
        """
        tensors, sizes = self._tensors(end)
        if len(tensors) != 1:
            names = " and ".join(map(crossing_name, tensors)) or "nothing"
            masks = MASKS if any(map(is_mask, tensors)) else "cut where a shortcut has ended"
            instead = f', or write "{last}..", which reaches to the network\'s end' if last else ""
            raise UsageError(
                f"{self._where} cannot be cut {text}: {names} cross there",
                f"one tensor alone can pass from block to block; {masks}{instead}",
            )
        return _PieceInput(tensors[0], sizes)

    def _tensors(self, end: int) -> tuple[list[fx.Node], dict[fx.Node, tuple[Any, Any]]]:
        """The tensors that cross before a node, and what else does, as `_PieceInput.sizes`."""
        crossing = self._flow.crossing(end)
        sizes: dict[fx.Node, tuple[Any, Any]] = {}
        if len(crossing) > 1:
            two, three = self._values
            sizes = {
                node: (two[node], three[node])
                for node in crossing
                if _sized(two[node], three[node])
            }
        return [node for node in crossing if node not in sizes], sizes

    @cached_property
    def _values(self) -> TwoRuns:
        return two_runs(self._where, self._network, self._graph, self._images)


def _sized(two: object, three: object) -> bool:
    """Whether a value is a size that is always the same, or a multiple of the number of images."""
    if isinstance(two, tuple) and isinstance(three, tuple):
        return len(two) == len(three) and all(map(_sized, two, three))
    if holds_tensors(two):  # a list of them, which nothing says is the same
        return False
    if isinstance(two, int) and isinstance(three, int):
        return two == three or (two % 2 == 0 and three == two // 2 * 3)
    return type(two) is type(three) and two == three


def _pieces(
    network: nn.Module, nodes: Sequence[fx.Node], ends: Sequence[int], given: Sequence[_PieceInput]
) -> Iterator[nn.Module]:
    """Embedder, blocks, classifier."""
    for index, (start, end) in enumerate(pairwise([0, *ends, len(nodes)])):
        wanted = given[index].tensor if index < len(given) else None
        yield _piece(network, nodes[start:end], given[index - 1] if index else None, wanted)


def _piece(
    network: nn.Module, nodes: Sequence[fx.Node], given: _PieceInput | None, wanted: fx.Node | None
) -> nn.Module:
    """Some nodes as a module: from one value, or the network's input, to another, or its output."""
    graph = fx.Graph()
    taken: dict[fx.Node, Any] = {}
    features = graph.placeholder("features") if given is not None else None
    if given is not None:
        taken[given.tensor] = features

    def copied(node: fx.Node) -> Any:
        if node not in taken and given is not None and node in given.sizes:
            taken[node] = given.again(graph, taken[given.tensor], node)
        if node not in taken and (same := read_again(graph, features, node)) is not None:
            taken[node] = same
        if node not in taken:  # of parameters or sizes alone, computed here or before the cut
            taken[node] = graph.node_copy(node, copied)
        return taken[node]

    for node in nodes:
        if node.op == "output":
            graph.output(fx.map_arg(node.args[0], copied))
        elif node.op != "get_attr":
            taken[node] = graph.node_copy(node, copied)
    if wanted is not None:
        graph.output(taken[wanted])
    if (chain := _chain(network, graph)) is not None:
        return chain
    piece = fx.GraphModule(network, graph)
    piece.training = network.training
    return piece


def _chain(network: nn.Module, graph: fx.Graph) -> nn.Module | None:
    """A piece that runs modules one after the other, as one of torch's; None for any other."""
    modules = []
    for before, node in pairwise(graph.nodes):
        if node.op == "call_module" and node.args == (before,) and not node.kwargs:
            modules.append(network.get_submodule(str(node.target)))
        elif node.op != "output" or node.args != (before,):
            return None
    if not modules:
        return nn.Identity()
    if len(modules) == 1:
        return modules[0]
    chain = nn.Sequential(*modules)
    chain.training = network.training
    return chain
