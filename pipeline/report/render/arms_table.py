"""The arms side by side: a row for each quantity, a column for each arm."""

from __future__ import annotations

from collections.abc import Callable

from pipeline.core.formatting import milliseconds, size
from pipeline.report.arms import accuracy_of, arm_names
from pipeline.report.metric_names import states_in
from pipeline.report.render.curve import arm_title
from pipeline.report.schema import ArmFacts, Metric, Report

#: What it says, and in small print its state and unit, or the 95 % interval.
Cell = tuple[str, str]


def arms_head(report: Report) -> list[str]:
    """The names of the columns."""
    return [arm_title(arm) for arm in arm_names(report.bundle)]


def arms_rows(report: Report) -> list[list[Cell]]:
    """A row for each quantity that was measured: what it is, then each arm's."""
    arms = report.bundle.arms
    final, first = report.stages[-1], report.stages[0]
    ways = (final.route, f"from {first.route}")
    metric = report.metric
    accuracy = (metric.value(final.top1, 1), f"from {metric.value(first.top1, 1)}")
    alone = [(metric.value(accuracy_of(arm, report), 1), "") for arm in arms]
    rows = [
        [("route", ""), ways, *((arm.route, arm.precision) for arm in arms)],
        [(metric.column, ""), accuracy, *alone],
    ]
    states = states_in(report.metrics)
    for state in states:
        rows.append(_measured(report, ("first answer", f"{state}, ms"), "ttfi_ms", f".{state}"))
        rows.append(_full_accuracy(report, state))
    for state in states:
        title = ("first answer since process start", f"{state}, ms")
        rows.append(_measured(report, title, "process_ms", f".{state}"))
    rows.append(_latency(report))
    for state in states:
        title = ("peak memory", f"{state}, MB")
        rows.append(_measured(report, title, "peak_rss_mb", f".{state}"))
    sizes = (size(report.bundle.bytes), *(size(arm.bytes) for arm in arms))
    rows.append([("programs", ""), *((each, "") for each in sizes)])
    rows.append(_measured(report, ("weight caches", "on disk"), "cache_bytes", ".cold-cached"))
    return [row for row in rows if any(value for value, _ in row[1:])]


def _measured(report: Report, title: Cell, kind: str, state: str) -> list[Cell]:
    names = [f"{kind}.{arm}{state}" for arm in arm_names(report.bundle)]
    return [title, *(_cell(report.metrics.get(name)) for name in names)]


def _full_accuracy(report: Report, state: str) -> list[Cell]:
    """When answers are as accurate as the last stage's; those of an arm are at once, or never."""

    def reached(arm: ArmFacts) -> Cell:
        if accuracy_of(arm, report) < report.stages[-1].low:
            return "never", ""
        return _cell(report.metrics.get(f"ttfi_ms.{arm.name}.{state}"))

    progressive = _cell(report.metrics.get(f"time_to_final_ms.{state}"))
    return [(report.metric.full, f"{state}, ms"), progressive, *map(reached, report.bundle.arms)]


def _latency(report: Report) -> list[Cell]:
    """Of the progressive arm, that of its last stage."""
    last = f"latency_ms.stage-{report.stages[-1].index}"
    names = [last, *(f"latency_ms.{arm.name}" for arm in report.bundle.arms)]
    return [("steady latency", "ms"), *(_cell(report.metrics.get(name)) for name in names)]


def _cell(metric: Metric | None) -> Cell:
    if metric is None:
        return "", ""
    units: dict[str, Callable[[float], str]] = {"ms": milliseconds, "bytes": size}
    words = units.get(metric.unit, "{:.1f}".format)
    return words(metric.median), f"{words(metric.low)}-{words(metric.high)}"
