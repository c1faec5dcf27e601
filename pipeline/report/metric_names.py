"""The metrics that a report of certain stages, arms and start states has to have.

A gate with a wildcard is about all of them: were one missing from the report, the gate would pass
on what is left.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from typing import get_args

from pipeline.core.nearest_name import nearest_name
from pipeline.harness.samples import State
from pipeline.model.arm import STUDENT, TEACHER
from pipeline.report.arms import arm_names, program_names
from pipeline.report.metric_samples import PARTS, PHASES, rate_name
from pipeline.report.schema import Report, StageResult
from pipeline.settings import PLAIN, PROGRESSIVE

#: By stage; the second, of those that replace another one.
_BY_STAGE = ("accuracy_differing", "differing_over_allowed", "stage_bytes", "stage_rss_mb")
#: By stage and of the final one; of these, what each kind of answers has beside the others.
_BY_STAGE_AND_FINAL = ("accuracy", "accuracy_minus_host", "accuracy_minus_host_low")
_OF_CLASSES, _OF_PIXELS = ("balanced_accuracy",), ("balanced_accuracy", "mean_iou")
_BY_SWAP = ("latency_during_load_ms", "swap_commit_ms")
#: The same, at full speed and at every frame rate.
_FIRST_AFTER_SWAP = ("first_after_swap_ms", "first_after_swap_over_steady")
_BY_RATE = ("missed_deadlines", "missed_deadlines_steady")
_BY_PROGRAM = ("parity_max_rel", "parity_over_tolerance", "latency_ms")
#: Of the bundle as a whole, and of its swaps.
_ALONE = ("bundle_bytes", "model_warnings", "model_warnings.teacher")
_OF_SWAPS = ("swap_stall", "swap_stall_quiet")
#: Taken from inferences that run while a block loads.
WHILE_LOADING = ("latency_during_load_ms", *_OF_SWAPS)
_OF_TWO_STEPS = (
    *("two_step_first_ms", "two_step_final_ms"),
    *("two_step_worst_latency_ms", "two_step_peak_rss_mb"),
)
_BY_START = ("ttfi_ms", "process_ms", "bytes_read", "peak_rss_mb")


def expected_metrics(report: Report) -> set[str]:
    """Their names, such as ``ttfi_ms.pwl.cold``."""
    return {
        *_of_stages(report),
        *_of_programs(report),
        *_of_starts(report),
        *_of_climbs(report),
        *_ALONE,
    }


def known_metrics(report: Report) -> set[str]:
    """Those that a report has, and those that it has to have."""
    return report.metrics.keys() | expected_metrics(report)


def _of_stages(report: Report) -> Iterator[str]:
    stages = [stage.index for stage in report.stages]
    yield from (f"{kind}.{stage}" for kind in _BY_STAGE for stage in stages)
    kinds = (*_BY_STAGE_AND_FINAL, *_kinds_of_answers(report.stages[0]))
    yield from (f"{kind}.{stage}" for kind in kinds for stage in (*stages, "final"))
    yield from (f"{kind}.{stage}" for kind in _BY_SWAP for stage in stages[1:])
    if len(stages) > 1:
        yield from _OF_SWAPS
    if report.runs.memory:
        arms = arm_names(report.bundle)
        yield from (f"peak_part_mb.{arm}.{part}" for arm in arms for part in PARTS)
    yield from (f"control_bytes.{name}" for name in arm_names(report.bundle)[1:])
    if any(arm.bytes for arm in report.bundle.arms if arm.name in (STUDENT, TEACHER)):
        yield "bundle_over_controls"


def _kinds_of_answers(stage: StageResult) -> tuple[str, ...]:
    """What stages are judged by beside accuracy."""
    if stage.host_cosine is not None:
        return ()
    return _OF_CLASSES if stage.pixels is None else _OF_PIXELS


def _of_programs(report: Report) -> Iterator[str]:
    """Of every stage and control arm, whatever the report says of it."""
    first = report.stages[0]
    quantized = {arm.name for arm in report.bundle.arms if arm.precision != PLAIN}
    quantized |= {
        f"stage-{stage.index}"
        for stage in report.stages
        if stage.precision is not None and stage.precision != PLAIN
    }
    for name in program_names(report):
        yield from (f"{kind}.{name}" for kind in _BY_PROGRAM)
        if first.host_cosine is not None:
            yield f"parity_cosine.{name}"
        if name in quantized:
            yield f"parity_sqnr_db.{name}"
            if first.host_cosine is None and first.pixels is None:
                yield f"parity_agreement.{name}"


def _of_starts(report: Report) -> Iterator[str]:
    arms = arm_names(report.bundle)
    for state in start_states(report):
        for arm in arms:
            yield from (f"{kind}.{arm}.{state}" for kind in _BY_START)
            yield from (f"phase_ms.{arm}.{state}.{phase}" for phase in PHASES)
        yield from (f"swap_load_ms.{stage.index}.{state}" for stage in report.stages[1:])
        if report.runs.two_step:
            yield from (f"{kind}.{state}" for kind in _OF_TWO_STEPS)
        if state == "cold-cached":
            yield from (f"cache_bytes.{arm}.{state}" for arm in (*arms, "all"))


def _of_climbs(report: Report) -> Iterator[str]:
    rates = {sample.fps for samples in report.runs.served for sample in samples}
    named = [rate_name(fps) for fps in rates.union(report.context.options.fps)]
    for how in (*start_states(report), *named):
        yield from (f"time_to_stage_ms.{stage.index}.{how}" for stage in report.stages)
        yield from (f"time_to_final_ms.{how}", f"worst_latency_ms.{how}")
    for rate in ("", *(f".{name}" for name in named)):
        for stage in report.stages[1:]:
            yield from (f"{kind}.{stage.index}{rate}" for kind in _FIRST_AFTER_SWAP)
        if len(report.stages) > 1:
            yield f"first_after_swap_over_steady.worst{rate}"
    yield from (f"{kind}.{name}" for kind in _BY_RATE for name in named)


def is_taken_while_loading(metric: str) -> bool:
    """Whether a metric, or a pattern of several, is one of `WHILE_LOADING`."""
    return metric.partition(".")[0] in WHILE_LOADING


def no_metric(name: str, known: Iterable[str]) -> str:
    """That there is none of a name or pattern, with the nearest of those that there are."""
    near = nearest_name(name, known, cutoff=0.5)
    return f"no metric {name}" + (f"; did you mean {near}?" if near else "")


def start_states(report: Report) -> set[str]:
    """Those that were asked for, measured or not, and those that were measured."""
    measured = {sample.state for samples in report.runs.ttfi for sample in samples}
    return {*report.context.options.states, *measured}


def rates_in(metrics: Iterable[str]) -> list[str]:
    """The frame rates that metrics of these names are about, such as ``30fps``, slowest first."""
    kind = "missed_deadlines."
    found = [name.removeprefix(kind) for name in metrics if name.startswith(kind)]
    return sorted(found, key=lambda rate: (len(rate), rate))


def states_in(metrics: Container[str]) -> list[str]:
    """The start states that metrics of these names are about, the coldest first."""
    return [state for state in get_args(State) if f"ttfi_ms.{PROGRESSIVE}.{state}" in metrics]
