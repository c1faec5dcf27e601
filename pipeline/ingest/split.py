"""Cuts a network at named submodules into an embedder, blocks and a classifier.

The network is traced by torch.fx, but for the modules that hold no cut: those are called as they
are, so what they do inside does not matter.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from itertools import pairwise

from torch import fx, nn

from pipeline.core.errors import UsageError, first_lines
from pipeline.model.blocknet import BlockNet

_RANGE = re.compile(r"^(?P<holder>.+)\[(?P<first>\d+):(?P<end>\d+)\]$")
_OWN = "or give the network the attributes embedder, blocks and classifier"


def split_network(source: str, name: str, network: nn.Module, split: Sequence[str]) -> BlockNet:
    """A network as blocks, which share its parameters.

    Args:
        source: how errors call the user's function.
        name: how they call the network.
        network: one tensor of images to one tensor of logits.
        split: paths of submodules in the order in which they run, or ranges of numbered ones, such
            as ``features[3:6]``. A block reaches from one to the next, the last to its own end;
            what runs before them all is the embedder, what runs after them the classifier.

    Raises:
        UsageError: there is no such submodule, it runs never or twice or in another order, more
            than one tensor crosses a cut, or what the network does depends on values.
    """
    where = f"{source}: the {name}"
    edges = [_edges(where, network, text) for text in split]
    graph = _traced(where, network, [path for edge in edges for path in edge])
    nodes = list(graph.nodes)
    calls = [(_call(where, nodes, first), _call(where, nodes, last)) for first, last in edges]
    begins = [nodes.index(first) for first, _ in calls]
    for (before, after), (text, following) in zip(pairwise(begins), pairwise(split), strict=True):
        if before >= after:
            raise UsageError(
                f"{where} runs {following} before {text}",
                "name the parts in the order in which they run, each once",
            )
    ends = [*begins, nodes.index(calls[-1][1]) + 1]
    texts = [*(f"before {text}" for text in split), f"behind {split[-1]}"]
    crossing = [_crossing(where, nodes, *cut) for cut in zip(ends, texts, strict=True)]
    pieces = list(_pieces(network, nodes, ends, crossing))
    return BlockNet(pieces[0], pieces[1:-1], pieces[-1])


def _edges(where: str, network: nn.Module, text: str) -> tuple[str, str]:
    """The first and the last submodule of a part, by their paths."""
    ranged = _RANGE.match(text)
    if ranged is None:
        _require(where, network, text)
        return text, text
    holder, first, end = ranged["holder"], int(ranged["first"]), int(ranged["end"])
    _require(where, network, holder)
    count = len([*network.get_submodule(holder).children()])
    if not first < end <= count:
        raise UsageError(
            f"{where}'s {holder} has {count} parts: {text} is none of its ranges",
            f"write {holder}[FIRST:END] with FIRST < END <= {count}",
        )
    for path in (edges := (f"{holder}.{first}", f"{holder}.{end - 1}")):
        _require(where, network, path)
    return edges


def _require(where: str, network: nn.Module, path: str) -> None:
    paths = [known for known, _ in network.named_modules() if known]
    if path in paths:
        return
    near = get_close_matches(path, paths, n=1, cutoff=0)
    raise UsageError(
        f"{where} has no submodule {path}",
        f"did you mean {near[0]}?" if near else f"it has no submodules at all: {_OWN}",
    )


class _Tracer(fx.Tracer):
    """Looks into the modules that hold a cut, and calls all others."""

    def __init__(self, holders: set[str]) -> None:
        super().__init__()
        self._holders = holders

    def is_leaf_module(self, module: nn.Module, path: str) -> bool:
        return path not in self._holders


def _traced(where: str, network: nn.Module, paths: Sequence[str]) -> fx.Graph:
    parents = [path.split(".")[:end] for path in paths for end in range(1, path.count(".") + 1)]
    holders = {".".join(parent) for parent in parents}
    if inside := holders & {*paths}:
        raise UsageError(
            f"{where}'s split names {sorted(inside)[0]} and a part of it",
            "name parts that lie beside each other",
        )
    try:
        graph = _Tracer(holders).trace(network)
    except Exception as error:  # a user's code meets tensors without values here
        raise UsageError(
            f"{where} cannot be followed from part to part: {type(error).__name__}: "
            f"{first_lines(error)}",
            "what it does around the parts must not depend on values or shapes of tensors; change "
            f"that, {_OWN}",
        ) from error
    inputs = [node.name for node in graph.nodes if node.op == "placeholder" and node.users]
    if len(inputs) != 1:
        raise UsageError(
            f"{where} uses {len(inputs)} inputs ({', '.join(inputs)})",
            f"let it take one tensor of images, {_OWN}",
        )
    for node in list(graph.nodes):
        if node.target is nn.functional.dropout:
            _as_module(network, graph, node)
    return graph


def _as_module(network: nn.Module, graph: fx.Graph, node: fx.Node) -> None:
    """A dropout as a module, which is told whether it trains; the call was told once for all."""
    share = node.args[1] if len(node.args) > 1 else node.kwargs.get("p", 0.5)
    path = f"split_{node.name}"
    network.add_module(path, nn.Dropout(float(str(share))))
    with graph.inserting_after(node):
        replaced = graph.call_module(path, (node.args[0] if node.args else node.kwargs["input"],))
    node.replace_all_uses_with(replaced)
    graph.erase_node(node)


def _call(where: str, nodes: Sequence[fx.Node], path: str) -> fx.Node:
    calls = [node for node in nodes if node.op == "call_module" and node.target == path]
    if len(calls) != 1:
        raise UsageError(
            f"{where} runs {path} {'never' if not calls else f'{len(calls)} times'}",
            f"name a part that runs once, {_OWN}",
        )
    return calls[0]


def _crossing(where: str, nodes: Sequence[fx.Node], end: int, text: str) -> fx.Node:
    """The one value that is made before a cut and used behind it."""
    behind = {*nodes[end:]}
    crossing = [
        node for node in nodes[:end] if node.op != "get_attr" and behind & node.users.keys()
    ]
    if len(crossing) != 1:
        names = " and ".join(_name(node) for node in crossing) or "nothing"
        raise UsageError(
            f"{where} cannot be cut {text}: {names} cross there",
            "one tensor alone can pass from block to block; cut where a shortcut has ended",
        )
    return crossing[0]


def _name(node: fx.Node) -> str:
    """What a value is, as the user calls it."""
    if node.op == "call_module":
        return f"the output of {node.target}"
    if node.op == "placeholder":
        return f"the input {node.target}"
    return f"what {getattr(node.target, '__name__', node.target)} gives ({node.name})"


def _pieces(
    network: nn.Module, nodes: Sequence[fx.Node], ends: Sequence[int], crossing: Sequence[fx.Node]
) -> Iterator[nn.Module]:
    """Embedder, blocks, classifier."""
    starts = [0, *ends]
    for index, (start, end) in enumerate(pairwise([*starts, len(nodes)])):
        given = crossing[index - 1] if index else None
        wanted = crossing[index] if index < len(crossing) else None
        yield _piece(network, nodes[start:end], given, wanted)


def _piece(
    network: nn.Module, nodes: Sequence[fx.Node], given: fx.Node | None, wanted: fx.Node | None
) -> nn.Module:
    """Some nodes as a module: from one value, or the network's input, to another, or its output."""
    graph = fx.Graph()
    taken: dict[fx.Node, fx.Node] = {}
    if given is not None:
        taken[given] = graph.placeholder("features")

    def copied(node: fx.Node) -> fx.Node:
        if node not in taken:  # a parameter, fetched here or before the cut
            taken[node] = graph.node_copy(node)
        return taken[node]

    for node in nodes:
        if node.op == "output":
            graph.output(fx.map_arg(node.args[0], copied))
        elif node.op != "get_attr":
            taken[node] = graph.node_copy(node, copied)
    if wanted is not None:
        graph.output(taken[wanted])
    calls = [node for node in graph.nodes if node.op not in ("placeholder", "output")]
    if not calls:
        return nn.Identity()
    (alone, *more) = calls
    if not more and alone.op == "call_module" and len(alone.args) == 1 and not alone.kwargs:
        return network.get_submodule(str(alone.target))
    piece = fx.GraphModule(network, graph)
    piece.training = network.training
    return piece
