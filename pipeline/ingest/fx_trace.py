"""What a network runs between its submodules, by torch.fx, and what flows there.

Modules that nobody has to look into are called as they are, so what they do inside does not matter.
"""

from __future__ import annotations

import operator
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from typing import Any

import torch
from torch import Tensor, fx, nn

from pipeline.core.errors import UsageError, first_lines
from pipeline.ingest.failing_part import user_frames
from pipeline.ingest.part_tracer import PartInterpreter, PartTracer, followed_lengths
from pipeline.ingest.uncuttable import UncuttableError
from pipeline.model.wrapping import input_advice

OWN = "or give the network the attributes embedder, blocks and classifier"
#: In a node's `meta`: the value that it has for any images, as `note_constants` finds it.
CONSTANT = "constant"
#: Where `nn.Module` keeps what it knows of; a graph's constants are written there.
_TABLES = {*vars(nn.Module())}


def traced(where: str, network: nn.Module, holders: Collection[str], images: Tensor) -> fx.Graph:
    """A network as a graph, from one input to its output.

    Args:
        where: how errors call the network.
        network: it is given a module for each dropout that it calls as a function.
        holders: paths of the modules that are looked into; the network itself always is.
        images: some, ``[n, channels, height, width]``.

    Raises:
        UncuttableError: what it does depends on values of tensors.
        UsageError: it uses more than one input.
    """
    try:
        with _kept_attributes(network), followed_lengths(network):
            graph = PartTracer(holders, images).trace(network)
    except Exception as error:  # a user's code meets tensors without values here
        why = f"{type(error).__name__}: {first_lines(error)}"
        if isinstance(error, fx.proxy.TraceError):
            why = "what it does depends on values of tensors"
        why += _place_in_code(error)
        raise UncuttableError(
            f"{where} cannot be followed from part to part: {why}",
            "what it does around the parts must not depend on values of tensors: use torch.where "
            f"for conditions on these, {OWN}",
            why,
        ) from error
    inputs = [node.name for node in graph.nodes if node.op == "placeholder" and node.users]
    if len(inputs) != 1:
        raise UsageError(
            f"{where} uses {len(inputs)} inputs ({', '.join(inputs)})",
            f"let it take one tensor of images, {OWN}",
        )
    _read_sizes_early(graph)
    for node in list(graph.nodes):
        if node.target is nn.functional.dropout:
            _as_module(network, graph, node)
    return graph


def _place_in_code(error: BaseException) -> str:
    """The line of a user's where an error comes from; empty if there is none."""
    own = [frame for frame in user_frames(error) if not frame.filename.startswith("<")]
    return f" ({own[-1].filename}, line {own[-1].lineno}: {own[-1].line})" if own else ""


def _read_sizes_early(graph: fx.Graph) -> None:
    """Moves reads of a tensor's sizes to where it is made: it is not kept for them until then.

    A segmenter whose last line is ``interpolate(x, images.shape[-2:])`` can be cut before it.
    """
    for node in list(graph.nodes):
        reads = node.op == "call_method" and node.target == "size"
        reads |= node.target is getattr and node.args[1:] == ("shape",)
        if reads and len(node.all_input_nodes) == 1:
            node.all_input_nodes[0].append(node)


@contextmanager
def _kept_attributes(network: nn.Module) -> Iterator[None]:
    """Lets no module keep what it noted while it was followed, such as LeViT's tables of biases.

    What flows through one graph means nothing in the next.
    """
    before = [(module, _plain_attributes(module)) for module in network.modules()]
    try:
        yield
    finally:
        for module, kept in before:
            for name in _plain_attributes(module).keys() - kept.keys():
                if isinstance(vars(module)[name], fx.Proxy):
                    delattr(module, name)
            for name, (value, entries) in kept.items():
                vars(module)[name] = value
                if isinstance(value, dict):
                    value.clear()
                    value.update(entries)
                elif isinstance(value, list):
                    value[:] = entries


def _plain_attributes(module: nn.Module) -> dict[str, tuple[Any, Any]]:
    """What it holds beside its tensors and modules, each with its entries."""
    return {
        name: (value, copy(value) if isinstance(value, dict | list) else None)
        for name, value in vars(module).items()
        if name not in _TABLES
    }


def _as_module(network: nn.Module, graph: fx.Graph, node: fx.Node) -> None:
    """A dropout as a module, which is told whether it trains; the call was told once for all."""
    share = node.args[1] if len(node.args) > 1 else node.kwargs.get("p", 0.5)
    path = f"split_{node.name}"
    network.add_module(path, nn.Dropout(float(str(share))))
    with graph.inserting_after(node):
        replaced = graph.call_module(path, (node.args[0] if node.args else node.kwargs["input"],))
    node.replace_all_uses_with(replaced)
    graph.erase_node(node)


class ValueInterpreter(PartInterpreter):
    """What every node of a graph gives for some images, by node."""

    def __init__(self, network: nn.Module, graph: fx.Graph, images: Tensor) -> None:
        super().__init__(network, garbage_collect_values=False, graph=graph)
        with torch.no_grad():
            self.run(images.clone(), *self._unused(graph))

    @staticmethod
    def _unused(graph: fx.Graph) -> Iterator[None]:
        """For the inputs that nothing reads, behind the first."""
        inputs = sum(node.op == "placeholder" for node in graph.nodes)
        return iter([None] * (inputs - 1))

    def __getitem__(self, node: fx.Node) -> Any:
        return self.env[node]


class Flow:
    """What flows through a graph from its input on.

    Args:
        graph: as traced, its constants noted.

    Attributes:
        nodes: of the graph, in the order in which they run.
        source: the input.
    """

    def __init__(self, graph: fx.Graph) -> None:
        self.nodes = list(graph.nodes)
        self.source = next(node for node in self.nodes if node.op == "placeholder" and node.users)
        self._places = {node: place for place, node in enumerate(self.nodes)}
        self._last: dict[fx.Node, int] = {}
        for node in self.nodes:
            follows = self._last.keys() & {*node.all_input_nodes}
            if node is self.source or (follows and not _same_for_all(node)):
                self._last[node] = max((self._places[user] for user in node.users), default=-1)

    def place(self, node: fx.Node) -> int:
        """The index of a node."""
        return self._places[node]

    def crossing(self, place: int) -> list[fx.Node]:
        """What is made before the node at a place and used there or behind it.

        What parameters alone are used for does not count, nor what is made of sizes that are always
        the same: it can be computed on either side.
        """
        return [node for node, last in self._last.items() if self._places[node] < place <= last]


def _same_for_all(node: fx.Node) -> bool:
    """Whether a node's value is a tensor, or a device, that is the same for all images."""
    return isinstance(node.meta.get(CONSTANT), Tensor | torch.device)


def behind(nodes: Sequence[fx.Node], call: fx.Node) -> int:
    """The place behind a call and behind what is taken out of the tuple or table that it gives."""
    end = nodes.index(call) + 1
    while nodes[end].args[:1] == (call,) and _takes_out(nodes[end]):
        end += 1
    return end


def _takes_out(node: fx.Node) -> bool:
    """Whether a node takes an entry of a tuple, or an attribute that no tensor has."""
    if node.target is operator.getitem:
        return isinstance(node.args[1], int | str)
    return node.target is getattr and not hasattr(Tensor, str(node.args[1]))


@contextmanager
def running(where: str, images: Tensor) -> Iterator[None]:
    """Says of a user's network that it fails, given such images.

    Raises:
        UsageError: what runs within raised anything.
    """
    try:
        yield
    except Exception as error:
        raise UsageError(
            f"{where}, given {list(images.shape)}, failed: {type(error).__name__}: "
            f"{first_lines(error)}",
            input_advice(str(error)) or "correct it, or the shape of its images",
        ) from error


@contextmanager
def plain_attention() -> Iterator[None]:
    """Runs attention by its layers and two products, which can be seen and counted."""
    from torch.nn.attention import SDPBackend, sdpa_kernel

    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


def node_name(node: fx.Node) -> str:
    """What a value is, as the user calls it."""
    if node.op == "call_module":
        return f"the output of {node.target}"
    if node.op == "placeholder":
        return f"the input {node.target}"
    return f"what {getattr(node.target, '__name__', node.target)} gives ({node.name})"
