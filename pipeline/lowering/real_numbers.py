"""Complex numbers, which no backend computes with, refused where they come from."""

from __future__ import annotations

from torch import fx

from pipeline.lowering.graph import is_call
from pipeline.lowering.refusal import NotLoweredError, Refusal

_REMEDY = (
    "compute with real numbers: a rotation as products with the cosine and the sine of its angles"
)


def require_real(body: fx.GraphModule, name: str) -> None:
    """Refuses the operators that make complex numbers of real ones, such as `view_as_complex`.

    Args:
        body: its calls have origins and know what they give; those on constants are folded.
        name: how errors call it.

    Raises:
        NotLoweredError: it computes with complex numbers.
    """
    origins = dict.fromkeys(
        node.meta["origin"]
        for node in body.graph.nodes
        if _complex(node) and not any(map(_complex, node.all_input_nodes))
    )
    if origins:
        refusals = [Refusal(origin.path, origin.operator, _REMEDY) for origin in origins]
        raise NotLoweredError(name, "", refusals)


def _complex(node: fx.Node) -> bool:
    """Whether a call gives complex numbers; of constants alone nothing is asked."""
    dtype = getattr(node.meta.get("tensor_meta"), "dtype", None)
    return is_call(node) and dtype is not None and dtype.is_complex
