"""Why a network is not cut where one might expect it: what crosses there."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, fx, nn

from pipeline.core.errors import UsageError
from pipeline.ingest.fx_trace import OWN, Flow, ValueInterpreter, node_name
from pipeline.ingest.holders import holds_tensors
from pipeline.ingest.uncuttable import UncuttableError

#: Where it is shown how a mask passes from block to block.
MASKS = "rows of zeros can say the same inside of the features: docs/inputs.md, Padding"
#: What is said of such a mask.
_ALONE = "made of the input alone"


def why_few(network: nn.Module, flow: Flow, values: ValueInterpreter) -> str:
    """Why the first layer that might begin a block does not, if there is one.

    Args:
        network: that was followed.
        flow: through it.
        values: of its nodes.
    """
    for place, node in enumerate(flow.nodes):
        if node.op != "call_module" or not [*network.get_submodule(str(node.target)).parameters()]:
            continue
        tensors = crossing_tensors(flow, values, place)
        if len(tensors) > 1 and not all(map(is_mask, tensors)):
            return f"before {node.target}, {' and '.join(map(crossing_name, tensors))} cross"
        if tensors and isinstance(found := values[tensors[0]], Tensor) and found.dim() > 4:
            sizes = "x".join(map(str, found.shape[1:]))
            return f"{node.target} takes {sizes}, and blocks give maps of two axes at most"
    return ""


def crossing_tensors(flow: Flow, values: ValueInterpreter, place: int) -> Sequence[fx.Node]:
    """What crosses before the node at a place that is a tensor, or holds one."""
    return [each for each in flow.crossing(place) if holds_tensors(values[each])]


def crossing_name(node: fx.Node) -> str:
    """What a value is, as the user calls it, and whether it is made of the input alone."""
    return node_name(node) + (f", {_ALONE}," if is_mask(node) else "")


def is_mask(node: fx.Node) -> bool:
    """Whether a value is made of a network's input without weights, as a mask of tokens is."""
    if node.op == "placeholder" or not node.all_input_nodes:
        return False
    waiting, seen = [node], {node}
    while waiting:
        each = waiting.pop()
        if each.op not in ("call_function", "call_method", "placeholder"):
            return False
        waiting += {*each.all_input_nodes} - seen
        seen.update(waiting)
    return True


def require_parts(where: str, parts: int, blocks: int, why: str = "") -> None:
    """Makes sure that a network has the parts for so many blocks.

    Args:
        where: how errors call it.
        parts: how many it has.
        blocks: how many are wanted.
        why: there are no more, as `why_few` says it.

    Raises:
        UsageError: it has fewer.
    """
    remedy = MASKS if _ALONE in why else OWN
    if not parts:
        why = why or "more than one tensor flows there, or they cannot be looked into"
        raise UncuttableError(
            f"{where} can be cut nowhere between its submodules: {why}",
            f"python -m pipeline.inspect shows where tensors flow; {remedy}",
        )
    if not 0 < blocks <= parts:
        why = f"; {why}" if why else ""
        raise UsageError(
            f"{where} can be cut into 1 to {parts} blocks by its submodules: not {blocks}{why}",
            f'write "auto:{parts}" or less, python -m pipeline.inspect shows where; {remedy}',
        )
