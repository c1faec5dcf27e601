"""The ``[schedule]`` table: in which order teacher blocks arrive, and which stages ship."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pipeline.core.toml_file import InputPath, Section
from pipeline.settings.quantities import Count

OrderName = Literal["prefix", "suffix", "largest", "contiguous", "greedy"]


class ScheduleSettings(Section):
    """How the stages are chosen.

    Attributes:
        orders: the candidates: ``prefix`` and ``suffix`` swap the blocks from the first or from the
            last on; ``largest`` from the one with most bytes to that with fewest, which needs least
            memory at its highest; ``contiguous`` is the best order whose teacher blocks always lie
            side by side; ``greedy`` takes the swap that gains most accuracy per millisecond, one
            after the other. The candidate with the most accuracy while it loads is chosen; the
            recipe trains for it.
        stages: ``paying`` leaves out every stage that is not better than the one before by more
            than its uncertainty; ``all`` ships a stage for each block.
        held_out: so many training images are kept from training and used to choose. Without it the
            test images choose, which flatters what they say about the chosen a little.
        load_times: report.json of a bundle of the same networks, measured on a device: how long
            blocks take to load. Without it, their bytes stand for it.
    """

    orders: Annotated[tuple[OrderName, ...], Field(min_length=1)] = ("prefix",)
    stages: Literal["paying", "all"] = "paying"
    held_out: Count | None = None
    load_times: InputPath | None = None
