"""docs/operators.md, from what was found when every operator of the table was tried."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from tests.lowering.operator_table import BOTH, CASES

RECORD = Path(__file__).parents[2] / "docs" / "operators.json"
PAGE = RECORD.with_suffix(".md")

#: By backend and operator: whether it was lowered whole when it was tried.
Record = Mapping[str, Mapping[str, bool]]

_HEAD = """# Operators

What each backend's XNNPACK delegate runs, all of it inside one delegate; only `Embedding`, looking
tokens up, is the engine's own outside of it. Much of it is not what the delegate takes as it is
written: `pipeline/lowering/rules` rewrites it, and the program is compared with your own module in
eager PyTorch. What counts is the operators that your code runs, not the classes of your modules:
subclasses, hooks, parametrizations and `torch.compile` change nothing.

A refusal names the module in your network and the operator: `sign in teacher.blocks.2.gate`.

| | both backends | ExecuTorch alone | LiteRT alone | neither |
|---|---|---|---|---|
"""

_TAIL = """
Whatever the backend: one float32 tensor in and one out, shapes that do not depend on values, no
random numbers in eval mode, no branch on a value of a tensor, and no TorchScript (give the module
as it was before `torch.jit.script`). LiteRT moreover wants images channels last at both edges of a
unit.

Everything above was lowered, run and compared (1e-5 of the largest output). The page is written by
`python scripts/write-operators`, which tries what is in `tests/lowering/operator_table.py` and not
yet here; after another version of an exporter, `--again` tries everything (minutes).
"""


def record() -> Record:
    """What was found."""
    found: Record = json.loads(RECORD.read_text(encoding="utf-8"))
    return found


def page(found: Record) -> str:
    """The whole page; an operator that was not tried on both backends is not on it."""
    topics = dict.fromkeys(case.topic for case in CASES)
    return _HEAD + "".join(_row(topic, found) for topic in topics) + _TAIL


def _row(topic: str, found: Record) -> str:
    columns = [
        ", ".join(
            f"`{case.name}`"
            for case in CASES
            if case.topic == topic
            and tuple(found[backend].get(case.name) for backend in BOTH) == answers
        )
        for answers in ((True, True), (True, False), (False, True), (False, False))
    ]
    return f"| {topic} | {' | '.join(columns)} |\n" if any(columns) else ""
