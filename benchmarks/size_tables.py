"""The tables of benchmarks/sizes.py, as Markdown of at most 100 columns."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.size_bundles import SIZES, BuildCost
from pipeline.core.atomic_files import write_text
from pipeline.core.errors import UsageError
from pipeline.report.report_file import load_report
from pipeline.report.schema import Context, Report
from pipeline.settings import BACKENDS

_ENGINES = {"executorch": "ET", "litert": "LiteRT"}


@dataclass(frozen=True, slots=True)
class Measured:
    """A size on an engine.

    Attributes:
        name: a key of `SIZES`.
        report: of its bundle.
        cost: of the build that made its programs.
    """

    name: str
    report: Report
    cost: BuildCost

    @property
    def title(self) -> str:
        """Network and engine."""
        return f"{SIZES[self.name].title}, {_ENGINES[self.report.bundle.backend]}"

    def median(self, name: str) -> float | None:
        """Of a metric or ratio."""
        found = self.report.ratios.get(name) or self.report.metrics.get(name)
        return None if found is None else found.median

    def interval(self, name: str) -> str:
        """Median and 95 % interval of a metric or ratio."""
        found = self.report.ratios.get(name) or self.report.metrics.get(name)
        return "-" if found is None else f"{found.median:.2f} [{found.low:.2f}-{found.high:.2f}]"

    def number(self, name: str) -> str:
        """A median with three digits."""
        value = self.median(name)
        return "-" if value is None else digits(value)


def kept(out: Path) -> list[Measured]:
    """What was measured and kept, in the order of `SIZES`."""
    found = []
    for name in SIZES:
        for backend in BACKENDS:
            folder = out / f"{name}-{backend}"
            if (folder / "report.json").exists():
                cost = BuildCost(**json.loads((folder / "build.json").read_text(encoding="utf-8")))
                found.append(Measured(name, load_report(folder / "report.json"), cost))
    if not found:
        raise UsageError(
            f"{out}: no reports", "run python -m benchmarks.sizes without --markdown first"
        )
    return found


def markdown(found: Sequence[Measured]) -> str:
    """All tables, each with a line that says what it shows."""
    parts = [
        ("What ships, and what building it took, with images of random pixels.", _builds),
        ("First answers and the last stage, ms since the app wanted an answer.", _starts),
        ("PWL's first answer over that of each arm alone, with 95 % intervals.", _ratios),
        (
            "Swaps over steady latencies, the last stage over the teacher's first answer, memory\n"
            "in MB, the last stage's steady latency over the teacher's.",
            _afterwards,
        ),
    ]
    machine = machine_of({each.title: each.report for each in found})
    texts = [machine, *(f"{words}\n\n{make(found)}" for words, make in parts)]
    return "\n\n".join(texts) + "\n"


def machine_of(reports: Mapping[str, Report]) -> str:
    """Where, when and with how many rounds it was measured, and whether anything disturbed it."""
    contexts = [report.context for report in reports.values()]
    device = contexts[0].device
    rounds = sorted({context.options.rounds for context in contexts})
    days = sorted({context.created[:16].replace("T", " ") for context in contexts})
    suspect = [title for title, each in reports.items() if each.validity.verdict != "valid"]
    engines = sorted({context.engine for context in contexts})
    doubt = f"suspect by their own reports: {'; '.join(suspect)}" if suspect else "all valid"
    text = (
        f"{device.model}, {device.cores} cores, {device.memory_bytes / 1e9:.0f} GB; "
        f"{device.system}; {', '.join(engines)}; one thread; {days[0]} to {days[-1]} UTC, "
        f"{'/'.join(map(str, rounds))} rounds; load before each {_loads(contexts)}; {doubt}."
    )
    return textwrap.fill(text, 100)


def _loads(contexts: Sequence[Context]) -> str:
    loads = [context.before.load_1min for context in contexts]
    known = [load for load in loads if load is not None]
    return f"{min(known):.1f} to {max(known):.1f}" if known else "unknown"


def _builds(found: Sequence[Measured]) -> str:
    def rows() -> Iterator[list[str]]:
        for each in found:
            facts, cost = each.report.bundle, each.cost
            sizes = {arm.name: arm.bytes for arm in facts.arms}
            numbers = [sizes["student"], facts.bytes, sizes["teacher"], sizes["teacher8"]]
            yield [
                each.title,
                *(digits(size / 1e6) for size in numbers),
                str(len(each.report.stages)),
                f"{cost.seconds:.0f}",
                f"{cost.cpu_seconds:.0f}",
                f"{cost.peak_mb / 1e3:.1f}",
            ]

    heads = ["", "student, MB", "bundle", "teacher", "int8", "stages", "build, s", "CPU s", "GB"]
    return table(heads, rows())


def _starts(found: Sequence[Measured]) -> str:
    def rows() -> Iterator[list[str]]:
        for each in found:
            for state in each.report.context.options.states:
                arms = ("pwl", "student", "teacher8", "teacher")
                names = [*(f"ttfi_ms.{arm}.{state}" for arm in arms), f"time_to_final_ms.{state}"]
                yield [each.title, state, *map(each.number, names)]

    return table(["", "start", "PWL", "student", "int8", "teacher", "last stage"], rows())


def _ratios(found: Sequence[Measured]) -> str:
    def rows() -> Iterator[list[str]]:
        for each in found:
            for state in each.report.context.options.states:
                names = [f"ttfi_over_{arm}.{state}" for arm in ("student", "teacher8", "teacher")]
                yield [each.title, state, *map(each.interval, names)]

    return table(["", "start", "the student", "the int8 teacher", "the teacher"], rows())


def _afterwards(found: Sequence[Measured]) -> str:
    def rows() -> Iterator[list[str]]:
        for each in found:
            names = [
                "first_after_swap_over_steady.worst",
                "first_after_swap_over_steady.worst.30fps",
                "final_over_teacher_ttfi.warm",
                "final_over_teacher_ttfi.30fps",
                "peak_rss_mb.pwl.warm",
                "peak_rss_mb.teacher.warm",
                "peak_rss_mb.teacher8.warm",
                "latency_final_over_teacher",
            ]
            yield [each.title, *map(each.number, names)]

    heads = ["", "first after swap", "at 30/s", "last stage", "at 30/s"]
    heads += ["peak PWL", "teacher", "int8", "steady"]
    return table(heads, rows())


def digits(value: float) -> str:
    """Three digits that count."""
    places = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{places}f}"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown; numbers stand on the right."""
    lines = [heads, ["---", *("---:" for _ in heads[1:])], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def put_into_page(name: str, page: Path, text: str) -> None:
    """Puts tables into their place in a page, between two comments of that name.

    Raises:
        UsageError: the page has no such place.
    """
    place = re.compile(rf"(?<=<!-- {name} -->\n).*?(?=<!-- /{name} -->)", re.DOTALL)
    whole, count = place.subn(lambda _: text, page.read_text(encoding="utf-8"))
    if count != 1:
        raise UsageError(
            f"{page}: no place for tables", f"write <!-- {name} --> and <!-- /{name} --> there"
        )
    write_text(page, whole)
