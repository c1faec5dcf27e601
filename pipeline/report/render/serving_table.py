"""How answers came while blocks loaded, at full speed and where frames came, as rows of words."""

from __future__ import annotations

from pipeline.core.formatting import milliseconds
from pipeline.report.metric_names import rates_in, states_in
from pipeline.report.schema import Metric, Report

SERVING_COLUMNS = (
    *("frames", "start", "last stage, ms", "worst answer, ms", "first after swap / steady"),
    *("missed until then", "missed after"),
)


def serving_rows(report: Report) -> list[list[str]]:
    """A row for each start state at full speed, then for each frame rate; medians and intervals.

    Runs that stay at each stage for a while, of which the first inference after a swap is taken,
    are warm.
    """
    rates = rates_in(report.metrics)
    if not rates:
        return []
    rows = [
        ["full speed", state, *_cells(report, state, "" if state == "warm" else None)]
        for state in states_in(report.metrics)
    ]
    return rows + [
        [f"{rate.removesuffix('fps')}/s", "warm", *_cells(report, rate, f".{rate}")]
        for rate in rates
    ]


def _cells(report: Report, how: str, rate: str | None) -> list[str]:
    """`how` and `rate` end the names of metrics; None where no run stayed at its stages."""
    metrics = report.metrics
    ratio = None if rate is None else metrics.get(f"first_after_swap_over_steady.worst{rate}")
    missed = (metrics.get(f"{kind}.{how}") for kind in _MISSED)
    return [
        _span(metrics.get(f"time_to_final_ms.{how}")),
        _span(metrics.get(f"worst_latency_ms.{how}")),
        "-" if ratio is None else f"{ratio.median:.2f} [{ratio.low:.2f}-{ratio.high:.2f}]",
        *("-" if metric is None else f"{metric.median:g}" for metric in missed),
    ]


_MISSED = ("missed_deadlines", "missed_deadlines_steady")


def _span(metric: Metric | None) -> str:
    if metric is None:
        return "-"
    low, high = milliseconds(metric.low), milliseconds(metric.high)
    return f"{milliseconds(metric.median)} [{low}-{high}]"
