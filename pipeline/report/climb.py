"""One climb: a process that serves while it loads stage after stage, out of a report's runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.core.errors import IntegrityError, UsageError
from pipeline.harness.samples import ProgressSample, StageLoad
from pipeline.report.latencies import time_to_stage_ns
from pipeline.report.metric_samples import rate_name
from pipeline.report.schema import Report, StageResult
from pipeline.settings import TaskMetric

#: What a run is called that stays at each stage for a while; the others are called by their state.
PACED = "paced"

#: About 146 years of nanoseconds: what a trace can hold, and no device shows.
_MOST = 2**62


@dataclass(frozen=True, slots=True)
class Climb:
    """A climb and what is known about the stages that it goes through.

    Attributes:
        run: the start state of a run at full speed; ``paced``; ``30fps`` or ``30fps-paced`` where
            frames came at that rate.
        round: in which it was measured, from 0.
        sample: its times.
        stages: those of the report.
        metric: what these are judged by.
    """

    run: str
    round: int
    sample: ProgressSample
    stages: tuple[StageResult, ...]
    metric: TaskMetric


def runs_of(report: Report) -> dict[str, dict[int, ProgressSample]]:
    """The climbs of a report by run, then by round: start states as measured come first."""
    found: dict[str, dict[int, ProgressSample]] = {}
    for number, samples in enumerate(report.runs.progress):
        for sample in samples:
            found.setdefault(sample.state, {})[number] = sample
    found[PACED] = dict(enumerate(report.runs.paced))
    for end, rounds in (("", report.runs.served), (f"-{PACED}", report.runs.served_paced)):
        for number, samples in enumerate(rounds):
            for sample in samples:
                found.setdefault(f"{rate_name(sample.fps)}{end}", {})[number] = sample
    return found


def choose_climb(report: Report, run: str | None = None, number: int | None = None) -> Climb:
    """One climb of a report.

    Args:
        report: whose runs are looked at.
        run: as in `Climb`; the first that was measured, if None.
        number: of a round; if None, the one that reached the last stage in the median time.

    Raises:
        UsageError: the report has no such run or round.
        IntegrityError: the times of that climb are out of order.
    """
    runs = runs_of(report)
    if run is None:
        run = next(iter(runs))
    if run not in runs:
        raise UsageError(f"the report has no {run} run", f"name one of {', '.join(runs)}")
    rounds = runs[run]
    if number is None:
        number = median_round(rounds)
    if number not in rounds:
        raise UsageError(
            f"the report has no {run} run of round {number}", f"its rounds are 0 to {max(rounds)}"
        )
    sample = rounds[number]
    if problem := next(_disorder(sample), None):
        raise IntegrityError(
            f"{run} run of round {number}: {problem}, so nothing can be drawn", "measure again"
        )
    return Climb(run, number, sample, report.stages, report.metric)


def median_round(rounds: dict[int, ProgressSample]) -> int:
    """The round that reached the last stage in the median time; of two, the faster one."""
    taken = {
        number: time_to_stage_ns(sample, sample.loads[-1].stage)
        for number, sample in rounds.items()
    }
    return sorted(taken, key=lambda number: taken[number])[(len(taken) - 1) // 2]


def active_ns(load: StageLoad) -> int:
    """When a stage began to serve, since the app wanted an answer. Stage 0 is not swapped in."""
    return load.ready_ns + load.commit_ns


def _disorder(sample: ProgressSample) -> Iterator[str]:
    """What no thread can have done: two things at once, or one before it began."""
    first, *later = sample.loads
    runs = sample.inferences
    begun = -sample.process_to_origin_ns
    times = {
        "serving": [begun, begun + sample.start_ns, 0, first.load_begin_ns, first.ready_ns],
        "loading": [],
        "the stages": [active_ns(load) for load in sample.loads],
    }
    for begin, duration in zip(runs.begin_ns, runs.duration_ns, strict=True):
        times["serving"] += [begin, begin + duration]
    for load in later:
        times["loading"] += [load.load_begin_ns, load.ready_ns, active_ns(load)]
    for name, marks in times.items():
        whole = [*marks, sample.wall_ns]
        if whole != sorted(whole):
            yield f"the times of {name} are out of order"
    counts = [begun, sample.rss_kb, sample.peak_rss_kb, sample.wall_ns, *runs.cpu_ns]
    counts += [number for load in sample.loads for number in load.model_dump().values()]
    if any(abs(number) > _MOST for number in counts):
        yield "a time or size is larger than any device's"
