"""Why a metric is not in a report without anything having failed."""

from __future__ import annotations

from statistics import median

from pipeline.report.latencies import latencies_around
from pipeline.report.metric_names import is_taken_while_loading
from pipeline.report.schema import Report


def missed_loads(metric: str, report: Report) -> str | None:
    """Why nothing was measured while blocks loaded, in words.

    Args:
        metric: that the report lacks.
        report: the report.

    Returns:
        None for any other metric, and where an inference ran during a load, so that there should be
        one.
    """
    paced = report.runs.paced
    if not paced or not is_taken_while_loading(metric):
        return None
    _, _, index = metric.partition(".")
    stages = [int(index)] if index else [stage.index for stage in report.stages[1:]]
    if any(latencies_around(run, stage)[1] for run in paced for stage in stages):
        return None
    loads = [load for run in paced for load in run.loads if load.stage in stages]
    longest = max(load.ready_ns + load.commit_ns - load.load_begin_ns for load in loads) / 1e6
    answer = median(took for run in paced for took in run.inferences.duration_ns) / 1e6
    return (
        f"not measured: no inference ran during any of {len(loads)} loads, of which the longest "
        f"took {longest:.3g} ms, an inference {answer:.3g} ms"
    )
