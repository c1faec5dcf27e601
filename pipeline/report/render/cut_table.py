"""Where networks can be cut, as tables for a terminal of 100 columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pipeline.report.render.terminal import table_console

if TYPE_CHECKING:  # torch takes seconds
    from pipeline.ingest.cuts import Cuts, NetworkPart


def cut_table(
    name: str, cuts: Cuts, splits: Mapping[str, Sequence[str]], load_ms: Sequence[float] = ()
) -> RenderableType:
    """A row for each part of a network: what it takes, how much of the network it is.

    Args:
        name: the title.
        cuts: the network's.
        splits: what ``auto:N`` and the like make of it.
        load_ms: what the parts behind the inputs take to load, where they were measured.
    """
    table = Table(title=name, title_justify="left", box=box.SIMPLE_HEAD, title_style="")
    table.add_column("begins with", overflow="fold")
    measured = ["load, ms"] if load_ms else []
    for column in ("takes", "parameters", "so far", "multiply-adds", *measured):
        table.add_column(column, justify="right", no_wrap=True)
    total = sum(part.parameters for part in cuts.parts)
    sums = accumulate(part.parameters for part in cuts.parts)
    times = ["", *(f"{ms:.2f}" for ms in load_ms)] if load_ms else [""] * len(cuts.parts)
    names = ["the inputs", *cuts.split]
    for begin, part, so_far, ms in zip(names, cuts.parts, sums, times, strict=True):
        row = (begin, *_row(part), _share(so_far, total), f"{part.multiply_adds:,}", ms)
        table.add_row(*row[: len(table.columns)])
    done = sum(part.multiply_adds for part in cuts.parts)
    table.add_section()
    whole = ("all", "", f"{total:,}", "", f"{done:,}", f"{sum(load_ms):.2f}")
    table.add_row(*whole[: len(table.columns)])
    notes = [f"{path} is not looked into: {why}" for path, why in cuts.closed.items()]
    notes += [f"there are no more cuts: {cuts.why}"] if cuts.why else []
    notes += [f'"{name}" is {_quoted(split)}' for name, split in splits.items()]
    return Group(table, *map(Text, notes))


def print_cuts(
    name: str, cuts: Cuts, splits: Mapping[str, Sequence[str]], load_ms: Sequence[float] = ()
) -> None:
    """Prints `cut_table` on stdout, never wider than 100 columns."""
    table_console().print(cut_table(name, cuts, splits, load_ms))


def _row(part: NetworkPart) -> tuple[str, str]:
    return "x".join(map(str, part.features)), f"{part.parameters:,}"


def _share(count: int, total: int) -> str:
    return f"{count / total:.0%}" if total else ""


def _quoted(split: Sequence[str]) -> str:
    return "[" + ", ".join(f'"{path}"' for path in split) + "]"
