"""Two reports side by side as tables for a terminal of 100 columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import groupby

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pipeline.core.formatting import counted, milliseconds
from pipeline.report.comparison import ComparedReport, Comparison, MetricChange, Spread
from pipeline.report.render.tables import describe_device
from pipeline.report.render.terminal import table_console
from pipeline.report.statistics import FEWEST

_STYLES = {"better": "green", "worse": "bold red"}
_TITLE = "medians [95 % interval]; no word: no difference"
_NONE = "not in both, or not the same"
_WORDS = ("better", "worse", "higher", "lower", "no difference", _NONE)
_MEGA = 1e6


def print_comparison(comparison: Comparison, names: tuple[str, str]) -> None:
    """Prints `comparison_tables` on stdout, never wider than 100 columns."""
    console = table_console()
    console.print(comparison_tables(comparison, names))


def comparison_tables(comparison: Comparison, names: tuple[str, str]) -> RenderableType:
    """What A and B are, what differs, whether B may be judged by A, and every metric.

    Args:
        comparison: of two reports.
        names: of their files.
    """
    sides = zip("AB", names, (comparison.a, comparison.b), strict=True)
    parts: list[RenderableType] = [_head(*side) for side in sides]
    if comparison.differences:
        parts.append(_differences(comparison))
    parts += [Text("\n".join(_trust(comparison)) + "\n"), Text(_TITLE), _metrics(comparison)]
    return Group(*parts, Text(_summary(comparison)))


def _head(letter: str, name: str, side: ComparedReport) -> Text:
    bundle = side.bundle
    return Text(
        f"{letter}: {name}\n"
        f"   {bundle.name} {bundle.id[:12]}, {bundle.precision} on {side.engine}, "
        f"{counted(bundle.threads, 'thread')}\n"
        f"   {side.device.serial}: {describe_device(side.device)}\n"
        f"   {side.created}, {counted(side.rounds, 'round')}"
    )


def _differences(comparison: Comparison) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title="", pad_edge=False)
    for name in ("differs", "A", "B"):
        table.add_column(name, overflow="fold")
    table.columns[0].min_width = max(len(one.name) for one in comparison.differences)
    forbidding = [one for one in comparison.differences if one.remedy]
    for one in comparison.differences:
        last = bool(forbidding) and one is forbidding[-1]
        style = "bold" if one.remedy else ""
        table.add_row(Text(one.name, style=style), one.a or "-", one.b or "-", end_section=last)
    return table


def _trust(comparison: Comparison) -> Iterator[str]:
    """Whether B may be judged by A, and what speaks against either."""
    sides = (("A", comparison.a), ("B", comparison.b))
    for letter, side in sides:
        yield from (f"{letter}'s results are wrong: {text}" for text in side.wrong)
    forbidding = [one for one in comparison.differences if one.remedy]
    if comparison.same:
        yield "A and B are the very same report"
    elif comparison.comparable:
        yield "comparable: the same model, measured the same way"
    elif forbidding:
        named = ", ".join(one.name for one in forbidding)
        yield f"not comparable, so nothing is called better or worse; not equal: {named}"
        remedies = dict.fromkeys(one.remedy for one in forbidding)
        yield f"  to compare releases: {'; '.join(filter(None, remedies))}"
    for letter, side in sides:
        yield from (f"{letter}'s timings are suspect: {reason}" for reason in side.reasons)
        if side.rounds < FEWEST:
            yield (
                f"{letter} has {counted(side.rounds, 'round')}: fewer than {FEWEST} give ranges, "
                "not 95 % intervals; measure with more --rounds"
            )


def _metrics(comparison: Comparison) -> Table:
    sides = (comparison.a, comparison.b)
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.show_edge = False
    table.add_column("metric", overflow="fold")
    for name in ("A", "B", "B / A"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("B is", no_wrap=True)
    for kind, changes in groupby(comparison.metrics, lambda one: one.name.partition(".")[0]):
        of_kind = list(changes)
        head = f"{kind} (MB)" if of_kind[0].unit == "bytes" else kind
        if kind == "accuracy":
            head = ", ".join([kind, *dict.fromkeys(side.metric.title for side in sides)])
        if len(of_kind) == 1 and of_kind[0].name == kind:
            table.add_row(Text(head, style="bold"), *_cells(of_kind[0]))
            continue
        table.add_row(Text(head, style="bold"))
        for one in of_kind:
            table.add_row(f"  {one.name.removeprefix(f'{kind}.')}", *_cells(one))
    return table


def _cells(change: MetricChange) -> list[str | Text]:
    cell = _CELLS.get(change.unit, _plain)
    word = change.judgment or change.change or ""
    return [
        _span(change.a, cell),
        _span(change.b, cell),
        _span(change.ratio, _ratio) if change.note is None else _short(change.note),
        Text("" if word == "no difference" else word, style=_STYLES.get(word, "")),
    ]


def _short(note: str) -> str:
    """Why two values are not compared: ``in A only``, ``other stage``."""
    return note if note.startswith("in ") else f"other {note.partition(' ')[0]}"


def _span(spread: Spread | None, cell: Callable[[float], str]) -> str:
    if spread is None:
        return "-"
    if spread.low == spread.high:
        return cell(spread.median)
    high = "" if spread.high is None else cell(spread.high)
    return f"{cell(spread.median)} [{cell(spread.low)}-{high}]"


def _ratio(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.3g}"


def _plain(value: float) -> str:
    return f"{value:.4g}"


#: How a value of a unit is shown.
_CELLS: dict[str, Callable[[float], str]] = {
    "ms": milliseconds,
    "bytes": lambda value: _plain(value / _MEGA),
    "MB": lambda value: f"{value:.1f}",
    "share": lambda value: f"{value:.2%}",
    "cosine": lambda value: f"{value:.4f}",
    "relative": lambda value: f"{value:.1e}",
}


def _summary(comparison: Comparison) -> str:
    words = Counter(one.judgment or one.change or _NONE for one in comparison.metrics)
    counts = [f"{words[word]} {word}" for word in _WORDS if words[word]]
    return f"{counted(len(comparison.metrics), 'metric')}: {', '.join(counts)}"
