"""Where a network can be cut: one tensor flows there, from one of its submodules to the next."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor, fx, nn

from pipeline.ingest.balance import balanced_cuts
from pipeline.ingest.few_cuts import crossing_tensors, why_few
from pipeline.ingest.fx_trace import (
    Flow,
    ValueInterpreter,
    behind,
    plain_attention,
    running,
    traced,
)
from pipeline.ingest.holders import followed, idle
from pipeline.ingest.size_constants import note_constants, two_runs
from pipeline.model.blocknet import BlockNet

#: They belong to the layer before them.
_FOLLOWERS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
_LAYERS = (nn.modules.conv._ConvNd, nn.Linear)


@dataclass(frozen=True, slots=True)
class NetworkPart:
    """What a network runs from one cut to the next.

    Attributes:
        path: of the submodule that it begins with; empty for the network's input.
        features: the shape of what flows into it, without the batch axis.
        parameters: of its modules.
        multiply_adds: of one image, those of convolutions and products of matrices.
    """

    path: str
    features: tuple[int, ...]
    parameters: int
    multiply_adds: int


@dataclass(frozen=True, slots=True)
class Cuts:
    """A network between all places where it can be cut.

    Attributes:
        parts: in the order in which they run; the first begins with the network's input.
        closed: why some modules could not be looked into, by their paths.
        end: of the submodule with which the last block ends, where that is not the one that the
            last part begins with: a shortcut leads around that. Empty where several tensors leave
            every one of them, so that the block reaches to the network's end.
        why: there are no more cuts, where there is one at most, as `why_few` says it.
    """

    parts: Sequence[NetworkPart]
    closed: dict[str, str]
    end: str | None = None
    why: str = ""

    @property
    def split(self) -> list[str]:
        """All parts but the first as `split_network` takes them."""
        paths = [part.path for part in self.parts[1:]]
        return paths if self.end is None else [*paths[:-1], f"{paths[-1]}..{self.end}"]


def possible_cuts(where: str, network: nn.Module, images: Tensor) -> Cuts:
    """All parts that a network can be cut into.

    Sequences are looked into, and what holds a sequence; what stands in one as an element, such as
    a residual block, stays whole.

    Args:
        where: how errors call the network.
        network: one tensor of images to one tensor of logits, in eval mode.
        images: some, ``[n, channels, height, width]``.

    Raises:
        UsageError: what it does around its parts depends on values, or it fails.
    """
    holders, closed = followed(where, network, images)
    while True:
        graph = traced(where, network, holders, images)
        note_constants(graph, partial(two_runs, where, network, graph, images))
        flow, values = Flow(graph), _measured(where, network, graph, images)
        cuts = {flow.source: values[flow.source]} | dict(_cuts(network, flow, values))
        targets = [str(node.target) for node in [*cuts][1:]]
        paths = ["", *_outermost(network, targets, holders)]
        if not (unwanted := idle(holders, targets)):
            break
        holders -= unwanted
    ends = [*map(flow.place, [*cuts][1:]), len(flow.nodes)]
    parts = []
    for (begin, features), path, end in zip(cuts.items(), paths, ends, strict=True):
        run = flow.nodes[flow.place(begin) : end]
        held = {id(each): each.numel() for node in run for each in _parameters(network, node)}
        done = sum(values.multiply_adds.get(node, 0) for node in run) // len(images)
        parts.append(NetworkPart(path, tuple(features.shape[1:]), sum(held.values()), done))
    ending = _end(flow, values, paths[-1]) if paths[-1] else None
    why = why_few(network, flow, values) if _few(cuts.values()) else ""
    return Cuts(parts, closed, ending, why)


def balanced_split(
    where: str,
    network: nn.Module,
    images: Tensor,
    blocks: int,
    cuts: Cuts | None = None,
) -> list[str]:
    """Where to cut a network into blocks whose parameters weigh alike; see `split_network`.

    The first block begins at the first possible cut, and the last one ends with the last part.

    Args:
        where: how errors call the network.
        network: as for `possible_cuts`.
        images: as there.
        blocks: how many.
        cuts: the network's, if they are known.

    Raises:
        UsageError: it has fewer possible cuts than blocks.
    """
    if cuts is None:
        cuts = possible_cuts(where, network, images)
    first, *others = cuts.parts
    weights = [part.parameters for part in others]
    if weights:
        weights[0] += first.parameters  # an embedder is fused into the first block
    return balanced_cuts(where, cuts.split, weights, blocks, cuts.why)


def _end(flow: Flow, values: ValueInterpreter, last: str) -> str | None:
    """Where a block ends that begins with the last part: see `Cuts.end`."""

    def closes(place: int) -> bool:
        return len(crossing_tensors(flow, values, place)) == 1

    inside = [place for place, node in enumerate(flow.nodes) if _runs_in(node, last)]
    if closes(behind(flow.nodes, flow.nodes[inside[-1]])):
        return None
    for node in flow.nodes[inside[-1] + 1 :]:
        if node.op == "call_module" and closes(behind(flow.nodes, node)):
            return str(node.target)
    return ""


def _runs_in(node: fx.Node, path: str) -> bool:
    """Whether a module runs it, or something in that does."""
    held = (where for where, _ in node.meta.get("nn_module_stack", {}).values())
    return path in (node.target if node.op == "call_module" else None, *held)


class _Measured(ValueInterpreter):
    """Values, and the multiply-adds of all images that each took."""

    def __init__(self, network: nn.Module, graph: fx.Graph, images: Tensor) -> None:
        from torch.utils.flop_counter import FlopCounterMode

        self.multiply_adds: dict[fx.Node, int] = {}
        self._counter = FlopCounterMode(display=False)
        with self._counter:
            super().__init__(network, graph, images)

    def run_node(self, n: fx.Node) -> Any:
        before = self._counter.get_total_flops()
        found = super().run_node(n)
        self.multiply_adds[n] = (self._counter.get_total_flops() - before) // 2
        return found


@contextmanager
def _without_gradients(network: nn.Module) -> Iterator[None]:
    """Keeps torch's counter, which looks for gradients, from finding tables that have one."""
    learning = [each for each in network.parameters() if each.requires_grad]
    for parameter in learning:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in learning:
            parameter.requires_grad_(True)


def _measured(where: str, network: nn.Module, graph: fx.Graph, images: Tensor) -> _Measured:
    with running(where, images), plain_attention(), _without_gradients(network):
        return _Measured(network, graph, images)


def _cuts(
    network: nn.Module, flow: Flow, values: ValueInterpreter
) -> Iterator[tuple[fx.Node, Tensor]]:
    """The calls of modules with weights that one tensor reaches, such as a block takes.

    Maps and sequences are what blocks exchange. Of a network that has fewer than two of them, its
    input is one, too; of one that has none of them still, vectors, as of tables.
    """
    found = [*_reached(network, flow, values)]
    maps = [each for each in found if _is_map(each[1])]
    inside = [each for each in maps if each[1] is not values[flow.source]]
    if len(inside) > 1:
        return iter(inside)
    return iter(maps if len(maps) > 1 else found)


def _reached(
    network: nn.Module, flow: Flow, values: ValueInterpreter
) -> Iterator[tuple[fx.Node, Tensor]]:
    """The calls of modules with weights that one tensor of features reaches, and this tensor."""
    targets = [node.target for node in flow.nodes if node.op == "call_module"]
    images = values[flow.source]
    for place, node in enumerate(flow.nodes):
        if node.op != "call_module" or targets.count(node.target) > 1:
            continue
        module = network.get_submodule(str(node.target))
        before = crossing_tensors(flow, values, place)
        if len(before) != 1 or not [*module.parameters()] or _follows(network, node, module):
            continue
        features = values[before[0]]
        if not isinstance(features, Tensor) or len(features) != len(images):
            continue
        if features.is_floating_point() and features.dim() in (2, 3, 4):
            yield node, features


def _follows(network: nn.Module, node: fx.Node, module: nn.Module) -> bool:
    """Whether it is the normalization of the layer before it."""
    source = node.args[0] if node.args else None
    return (
        isinstance(module, _FOLLOWERS)
        and isinstance(source, fx.Node)
        and source.op == "call_module"
        and isinstance(network.get_submodule(str(source.target)), _LAYERS)
    )


def _few(flowing: Iterable[Tensor]) -> bool:
    """Whether there are less than two maps or sequences between layers."""
    images, *inside = flowing
    return sum(_is_map(each) and each is not images for each in inside) < 2


def _is_map(value: Tensor) -> bool:
    """A map or a sequence, of more than one place."""
    return value.dim() == 3 or (value.dim() == 4 and value.shape[2:].numel() > 1)


def _parameters(network: nn.Module, node: fx.Node) -> Iterator[nn.Parameter]:
    if node.op == "call_module":
        yield from network.get_submodule(str(node.target)).parameters()
    elif node.op == "get_attr":
        holder, _, name = str(node.target).rpartition(".")
        if isinstance(found := getattr(network.get_submodule(holder), name), nn.Parameter):
            yield found


def _outermost(network: nn.Module, paths: Sequence[str], holders: set[str]) -> Iterator[str]:
    """Each as the outermost module that runs and in which no other of them lies."""
    for path in paths:
        outer = path
        while (outer := outer.rpartition(".")[0]) in holders:
            if sum(each.startswith(f"{outer}.") for each in paths) > 1:
                break
            if type(network.get_submodule(outer)).forward is not nn.Module.forward:
                path = outer  # not a mere list of modules
        yield path


def given_cuts(where: str, network: BlockNet, images: Tensor) -> Cuts:
    """The parts of a network that comes in blocks, as `possible_cuts` gives those of others."""
    graph = traced(where, network, {"blocks"}, images)
    values = _measured(where, network, graph, images)
    parts = []
    for node in graph.nodes:
        if node.op != "call_module":
            continue
        held = sum(each.numel() for each in _parameters(network, node))
        features = tuple(values[node.args[0]].shape[1:])
        path = "" if node.target == "embedder" else str(node.target)
        parts.append(NetworkPart(path, features, held, values.multiply_adds[node] // len(images)))
    return Cuts(parts, {})
