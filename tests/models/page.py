"""docs/models.md, from what was found when every network of the table was tried."""

from __future__ import annotations

import json
from pathlib import Path

from tests.models.table import CASES, Record

RECORD = Path(__file__).parents[2] / "docs" / "models.json"
PAGE = RECORD.with_suffix(".md")
#: Columns with their titles.
COLUMNS = {
    "split": '`split = "auto:2"`',
    "student": '`student = { from = "teacher" }`',
    "executorch": "ExecuTorch",
    "litert": "LiteRT",
}

_HEAD = """# Models

Networks as libraries write them: plain modules with names, no `embedder`, `blocks`, `classifier`.
Each was written anew for this table, or is of Hugging Face's transformers library; all are small
and have random weights: what counts is what their code runs, not their size.

"""

_TAIL = """
**For**: labels, label maps or embeddings, the [task](tasks.md). **Split**: cut into two
blocks that compute what the whole computes, to the last bit. One tensor alone passes from block to
block: skips end within one, so that all of the U-Net up to its last skip is one block, and the FPN
is cut before its first map that a later one is added to. A mask made of the tokens crosses every
cut: such an encoder is refused. **Student**: half of the channels and half of the layers alike make
a network that runs and learns; where it says no, `OwnModel` takes one of your own: an embedding as
wide as the features cannot stay so wide. **ExecuTorch**, **LiteRT**: both blocks were lowered, all
of each in one delegate but lookups of tokens, run and compared (1e-5 of the largest output); where
it says no, an operator is refused by name before anything is trained. What each backend takes:
[operators](operators.md); how a model comes in: [own model](own-model.md).

The page is written by `python scripts/write-models`, which tries what is in `tests/models/table.py`
and not yet here; after another version of an exporter, `--again` tries everything (15 minutes).
"""


_SAID = {None: "not tried", True: "yes", False: "no"}


def record() -> Record:
    """What was found."""
    found: Record = json.loads(RECORD.read_text(encoding="utf-8"))
    return found


def page(found: Record) -> str:
    """The whole page."""
    titles = ["model", "for", "has", *COLUMNS.values()]
    lines = [titles, ["---" for _ in titles]]
    for case in CASES:
        answers = [found[column].get(case.name) for column in COLUMNS]
        shown = [_SAID[answer] for answer in answers]
        lines.append([case.name, case.answer, case.what, *shown])
    return _HEAD + "".join(f"| {' | '.join(line)} |\n" for line in lines) + _TAIL
