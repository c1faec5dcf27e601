"""Which of a teacher's slimmer students was taken, and why: part of the manifest. Free of torch."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from pipeline.core.toml_file import SparseSection

Width = Annotated[float, Field(gt=0, le=1)]


class StudentCost(SparseSection):
    """What the first answer of a candidate takes, its weights random.

    Attributes:
        width: share of the channels that it keeps.
        bytes: of the programs that it is lowered to; of several backends, the most.
        ms: from these bytes in memory to the first answer on the machine that built the bundle, by
            the backend's Python runtime; the median, of several backends the longest. None where
            the budget is one of bytes.
    """

    width: Width
    bytes: Annotated[int, Field(ge=1)]
    ms: Annotated[float, Field(gt=0)] | None = None


class StudentChoice(SparseSection):
    """The student that was taken where a profile says ``width = "auto"``.

    Attributes:
        width: share of the channels that it keeps.
        tried: those that were lowered, by width.
    """

    width: Width
    tried: Annotated[tuple[StudentCost, ...], Field(min_length=1)]
