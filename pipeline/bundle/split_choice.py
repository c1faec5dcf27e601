"""Where a network was cut by what its parts take to load: part of the manifest. Free of torch."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from pipeline.core.toml_file import SparseSection


class PartCost(SparseSection):
    """What loading a part of the teacher takes, its weights as they were before training.

    Attributes:
        begins_with: its first submodule.
        bytes: of the program that it is lowered to; of several backends, the most.
        ms: from these bytes in memory to a program that is ready, on the machine that built the
            bundle, by the backend's Python runtime; the median, of several backends their sum.
    """

    begins_with: str
    bytes: Annotated[int, Field(ge=1)]
    ms: Annotated[float, Field(gt=0)]


class SplitChoice(SparseSection):
    """The cuts that were taken where a profile says ``split = "auto:N:load_time"``.

    Attributes:
        split: what blocks begin with, as a profile may state it.
        parts: those between all possible cuts, in the order in which they run.
    """

    split: Annotated[tuple[str, ...], Field(min_length=1)]
    parts: Annotated[tuple[PartCost, ...], Field(min_length=1)]
