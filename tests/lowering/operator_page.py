"""docs/operators.md, from the table of operators."""

from __future__ import annotations

from collections.abc import Sequence

from tests.lowering.operator_table import CASES, Case

_HEAD = """# Operators

What each backend's XNNPACK delegate runs, all of it inside one delegate. Much of it is not what the
delegate takes as it is written: `pipeline/lowering/rules` rewrites it, and the program is compared
with your own module in eager PyTorch. What counts is the operators that your code runs, not the
classes of your modules: subclasses, hooks, parametrizations and `torch.compile` change nothing.

A refusal names the module in your network and the operator: `sign in teacher.blocks.2.gate`.

| | both backends | ExecuTorch alone | LiteRT alone | neither |
|---|---|---|---|---|
"""

_TAIL = """
Whatever the backend: one float32 tensor in and one out, shapes that do not depend on values, no
random numbers in eval mode, no branch on a value of a tensor, and no TorchScript (give the module
as it was before `torch.jit.script`). LiteRT moreover wants images channels last at both edges of a
unit.

This page is written by `python scripts/write-operators`, which lowers every operator of
`tests/lowering/operator_table.py` on both backends (minutes); a test holds the page against the
table.
"""


def page() -> str:
    """The whole page."""
    topics = dict.fromkeys(case.topic for case in CASES)
    return _HEAD + "".join(_row(topic) for topic in topics) + _TAIL


def _row(topic: str) -> str:
    cases = [case for case in CASES if case.topic == topic]
    columns = [
        _names(cases, refused)
        for refused in ((), ("litert",), ("executorch",), ("executorch", "litert"))
    ]
    return f"| {topic} | {' | '.join(columns)} |\n"


def _names(cases: Sequence[Case], refused: tuple[str, ...]) -> str:
    return ", ".join(f"`{case.name}`" for case in cases if set(case.refused) == set(refused))
