"""From what a backend says to the modules of the user's network that it is about."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from pipeline.core.errors import PipelineError
from pipeline.lowering.graph import OperatorGraph, Origin
from pipeline.lowering.refusal import NotLoweredError, Refusal
from pipeline.settings import BackendName

_REMEDY = "write it in operators that docs/operators.md lists for {backend}"


def unit_refused(
    name: str,
    backend: BackendName,
    found: Sequence[tuple[Origin | None, str]],
    remedy: str = "",
) -> NotLoweredError:
    """The error for operators outside the delegate.

    Args:
        name: of the unit.
        backend: that refuses.
        found: its own names of the operators, with where they come from, if that is known.
        remedy: what to do; by default, to look into the table of operators.
    """
    names: dict[Origin, list[str]] = {}
    for origin, operator in found:
        names.setdefault(origin or Origin(name, ""), []).append(operator)
    refusals = [
        Refusal(origin.path, _shown(origin, operators), remedy or _REMEDY.format(backend=backend))
        for origin, operators in names.items()
    ]
    return NotLoweredError(name, backend, refusals)


@contextmanager
def blaming(graph: OperatorGraph, name: str, backend: BackendName) -> Iterator[None]:
    """Around an exporter: its failure becomes a refusal of the operators that its message names.

    Raises:
        NotLoweredError: the exporter failed.
    """
    try:
        yield
    except PipelineError:
        raise
    except Exception as error:
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        named = _named(graph, f"{error} {cause}")
        if not named:
            named = [(None, f"{type(cause).__name__}: {' '.join(str(cause).split())[:300]}")]
        raise unit_refused(name, backend, named) from error


def _named(graph: OperatorGraph, text: str) -> list[tuple[Origin | None, str]]:
    """The calls that an exporter's message is about."""
    calls = [(origin, str(node.target)) for node, origin in graph.calls()]
    named = [(origin, target) for origin, target in calls if target.rsplit(".", 1)[0] in text]
    if not named and "mhlo.convolution" in text:
        # The converter knows transposed convolutions by this name, too, and not all of them.
        named = [(origin, target) for origin, target in calls if "conv_transpose" in target]
    return [*named]


def _shown(origin: Origin, operators: Sequence[str]) -> str:
    """`group_norm (RSQRT, BROADCAST_TO)`: the user's name first, the backend's own after it."""
    own = list(dict.fromkeys(operators))
    plain = {operator.lower().replace("_", "").removeprefix("aten.") for operator in own}
    if not origin.operator:
        return ", ".join(own)
    if plain == {origin.operator.lower().replace("_", "")}:
        return origin.operator
    return f"{origin.operator} ({', '.join(own)})"
