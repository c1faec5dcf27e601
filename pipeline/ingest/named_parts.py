"""The parts that a split names: what they begin and end with in a network, and in its graph."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches

from torch import fx, nn

from pipeline.core.errors import UsageError
from pipeline.ingest.fx_trace import OWN

_RANGE = re.compile(r"^(?P<holder>.+)\[(?!\])(?P<first>-?\d*)(?P<colon>:?)(?P<end>-?\d*)\]$")


def edges_of(where: str, network: nn.Module, text: str) -> tuple[str, str]:
    """The first and the last submodule of a part, by their paths; no last one of ``first..``.

    Args:
        where: how errors call the network.
        network: that is cut.
        text: a path, a range in a sequence or list, as Python writes slices, or ``PATH..PATH``.

    Raises:
        UsageError: there is no such submodule, or no such range of it.
    """
    first, dots, last = text.partition("..")
    if dots and not last:
        return edges_of(where, network, first)[0], ""
    if dots:
        return edges_of(where, network, first)[0], edges_of(where, network, last)[1]
    ranged = _RANGE.match(text)
    if ranged is None:
        _require(where, network, text)
        return text, text
    holder = ranged["holder"]
    _require(where, network, holder)
    names = [name for name, _ in network.get_submodule(holder).named_children()]
    if not names:
        raise UsageError(f"{where}'s {holder} has no parts: {text}", f"write {holder} alone")
    begin = int(ranged["first"] or 0)
    end = int(ranged["end"] or len(names)) if ranged["colon"] else begin + 1
    if not 0 <= begin < end <= len(names):
        raise UsageError(
            f"{where}'s {holder} has {len(names)} parts: {text} is none of its ranges",
            f"write {holder}[FIRST:END] with FIRST < END <= {len(names)}",
        )
    return f"{holder}.{names[begin]}", f"{holder}.{names[end - 1]}"


def _require(where: str, network: nn.Module, path: str) -> None:
    paths = [known for known, _ in network.named_modules() if known]
    if path in paths:
        return
    near = get_close_matches(path, paths, n=1, cutoff=0)
    raise UsageError(
        f"{where} has no submodule {path}",
        f"did you mean {near[0]}?" if near else f"it has no submodules at all: {OWN}",
    )


def calls_of(
    where: str, network: nn.Module, nodes: Sequence[fx.Node], edges: tuple[str, str]
) -> tuple[fx.Node, fx.Node]:
    """The calls with which a part begins and ends; the output where it reaches to the end.

    Args:
        where: how errors call the network.
        network: that is cut.
        nodes: of its graph.
        edges: the submodules that the part reaches from and to, as `edges_of` gives them.

    Raises:
        UsageError: one of them runs never or twice, or the last one before the first.
    """
    first, last = edges
    begin = _calls(where, network, nodes, first)[0]
    end = _calls(where, network, nodes, last)[-1] if last else nodes[-1]
    if nodes.index(end) < nodes.index(begin):
        raise UsageError(
            f"{where} runs {last} before {first}, and the split reaches from {first} to it",
            f"write {last}..{first}",
        )
    return begin, end


def _calls(
    where: str, network: nn.Module, nodes: Sequence[fx.Node], path: str
) -> Sequence[fx.Node]:
    """The call of a submodule; of a list, which nobody calls, those of what it holds."""
    calls = [node for node in nodes if node.op == "call_module"]
    if type(network.get_submodule(path)).forward is nn.Module.forward:
        held = [node for node in calls if str(node.target).startswith(f"{path}.")]
        targets = [str(node.target) for node in held]
        repeated = [target for target in targets if targets.count(target) > 1]
        if held and not repeated:
            return held
        path = repeated[0] if repeated else path
    found = [node for node in calls if node.target == path]
    if len(found) != 1:
        raise UsageError(
            f"{where} runs {path} {'never' if not found else f'{len(found)} times'}",
            'name parts that run once: python -m pipeline.inspect shows them, "auto:2" finds '
            f"some; {OWN}",
        )
    return found
