"""What rounds of benchmarks/kotlin.py come to, and what each number may be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median

from pipeline.report.statistics import Estimate

#: By how much each may grow. Two threads of the JVM come and go.
GROWTH = {"KB allocated": 1.05, "KB resident": 1.02, "descriptors": 1.0, "threads": 1.1}
Row = list[int]


@dataclass(frozen=True, slots=True)
class Finding:
    """A number of a bundle.

    Attributes:
        what: it is.
        wall: with its interval; this is judged.
        cpu: the same of CPU time, where it is a time.
        limit: what it may be; None: nothing is asked of it.
    """

    what: str
    wall: Estimate
    cpu: Estimate | None = None
    limit: float | None = None

    @property
    def verdict(self) -> str:
        if self.limit is None:
            return ""
        if self.wall.low > self.limit:
            return "exceeded"
        return "holds" if self.wall.high <= self.limit else "open"


def findings(rounds: dict[str, list[Row]]) -> Iterator[Finding]:
    """What the rounds come to."""
    for part, stage, unit, divisor, more, ratio in (
        ("first-stage", "first", "us", 1e3, 15.0, None),
        ("last-stage", "last", "ms", 1e6, None, 1.02),
    ):
        if rows := rounds.get(part, []):
            yield times(f"{stage} stage, {unit} in C++", rows, first_of(divisor))
            for way, how in ((1, "array"), (2, "buffer")):
                yield difference(f"{stage} stage, {unit} more by {how}", rows, way, divisor, more)
                yield ratios(f"{stage} stage, {how} / C++", rows, way, ratio)
    for part, name, base, other, limit in (
        ("start", "first answer", "in C++", "more in Kotlin", 1.0),
        ("archive-start", "first answer", "mapped", "more if copied", None),
        ("archive-climb", "last stage", "mapped", "more if copied", None),
    ):
        if rows := rounds.get(part, []):
            yield times(f"{name}, ms {base}", rows, first_of(1e6))
            yield difference(f"{name}, ms {other}", rows, 1, 1e6, limit)
    yield from left_behind(rounds.get("cycles", []))


def times(
    what: str, rows: list[Row], value: Callable[[Row], float], limit: float | None = None
) -> Finding:
    """A number of each round, which `value` takes from the wall times, and then from CPU times."""
    wall, cpu = ([value(row[clock::2]) for row in rows] for clock in (0, 1))
    return Finding(what, Estimate.of(wall), Estimate.of(cpu), limit)


def first_of(unit: float) -> Callable[[Row], float]:
    """The first way, in a unit of so many nanoseconds."""
    return lambda row: row[0] / unit


def difference(what: str, rows: list[Row], way: int, unit: float, limit: float | None) -> Finding:
    return times(what, rows, lambda row: (row[way] - row[0]) / unit, limit)


def ratios(what: str, rows: list[Row], way: int, limit: float | None) -> Finding:
    return times(what, rows, lambda row: row[way] / row[0], limit)


def left_behind(cycles: list[Row]) -> Iterator[Finding]:
    """What models that were closed leave: the last fifth of all samples against the second."""
    fifth = len(cycles) // 5
    if not fifth:
        return
    before, after = (
        list(zip(*part, strict=True)) for part in (cycles[fifth : 2 * fifth], cycles[-fifth:])
    )
    for place, (what, growth) in enumerate(GROWTH.items(), start=1):
        early = median(before[place])
        grown = median(after[place]) / early
        # Not an interval: each sample is what all cycles before have left.
        value = Estimate(grown, grown, grown, fifth)
        when = f"{cycles[-1][0]} / {cycles[fifth][0]} cycles"
        yield Finding(f"{what}, {when}", value, None, growth)
