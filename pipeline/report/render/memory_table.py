"""What the highest memory of each arm is made of, as rows of words."""

from __future__ import annotations

from pipeline.report.arms import arm_names
from pipeline.report.metric_samples import PARTS
from pipeline.report.schema import Report

MEMORY_COLUMNS = ("arm", *(f"{part}, MB" for part in PARTS))


def memory_rows(report: Report) -> list[list[str]]:
    """A row of medians for each arm whose memory the device tells apart."""
    rows: list[list[str]] = []
    for arm in arm_names(report.bundle):
        metrics = [report.metrics.get(f"peak_part_mb.{arm}.{part}") for part in PARTS]
        if all(metrics):
            rows.append([arm, *(f"{metric.median:.1f}" for metric in metrics if metric)])
    return rows
