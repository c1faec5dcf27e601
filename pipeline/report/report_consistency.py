"""Whether the parts of a report fit together: what one says, another does not deny.

A report that contradicts itself was damaged or edited by hand. Whether the device was right is
another question, see `pipeline.report.integrity`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from statistics import fmean
from typing import TYPE_CHECKING

from pipeline.core.intervals import wilson_interval
from pipeline.evaluation.overlaps import overlaps
from pipeline.harness import contention
from pipeline.harness.samples import NO_LABEL, is_finite
from pipeline.report.arms import arm_names, program_names
from pipeline.report.integrity import within_limit
from pipeline.report.metric_samples import samples_of
from pipeline.settings import PLAIN

if TYPE_CHECKING:
    from pipeline.report.schema import Report, StageResult

_ROUNDING = 1e-9


def report_contradictions(report: Report) -> Iterator[str]:
    """Everything in which parts of a report disagree, in words."""
    yield from _stages(report)
    yield from _parity(report)
    yield from _metrics(report)
    yield from _results_in_runs(report)
    yield from _timings_in_runs(report)


def metrics_not_of_runs(report: Report) -> Iterator[str]:
    """Metrics with other samples than the runs and results of the report give them.

    What this release does not know by name is another release's, and not compared.
    """
    found = samples_of(report.runs, report.stages, report.parity, report.bundle, report.warnings)
    for name in sorted(report.metrics.keys() & found.keys()):
        metric, (unit, samples) = report.metrics[name], found[name]
        kept = dict(zip(metric.rounds, metric.samples, strict=True))
        equal = kept.keys() == samples.keys() and all(
            _close(kept[number], value) for number, value in samples.items()
        )
        if not equal or metric.unit != unit:
            yield f"metrics.{name}: its samples are not those of the report's runs and results"
    if lost := sorted(
        result.name
        for result in report.parity
        if result.max_rel is None and f"parity_over_tolerance.{result.name}" in report.metrics
    ):
        yield f"metrics: parity_over_tolerance of {', '.join(lost)}, which gave NaN or infinity"


def _close(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=_ROUNDING, abs_tol=_ROUNDING)


def _equal(one: float | None, other: float | None) -> bool:
    return one is other if one is None or other is None else _close(one, other)


def _stages(report: Report) -> Iterator[str]:
    indices = [stage.index for stage in report.stages]
    if indices != list(range(len(indices))):
        yield f"stages: {indices} are not all stages from 0 on"
    if report.schedule is not None:
        shipped = [step.route for step in report.schedule.steps if step.shipped]
        if shipped != [stage.route for stage in report.stages[1:]]:
            yield f"stages: the schedule ships {' '.join(shipped)} after stage 0, not these"
    for arm in report.bundle.arms:
        if len(arm.route) != report.bundle.blocks:
            yield f"bundle.arms: {arm.name}: {arm.route} has not {report.bundle.blocks} blocks"
    if len({*arm_names(report.bundle)}) <= len(report.bundle.arms):
        yield "bundle.arms: two arms of one name"
    for stage in report.stages:
        if len(stage.route) != report.bundle.blocks:
            yield f"stages.{stage.index}: route {stage.route} has not {report.bundle.blocks} blocks"
        yield from (f"stages.{stage.index}: {problem}" for problem in _counts(stage))


def _counts(stage: StageResult) -> Iterator[str]:
    for name in ("correct", "host_correct", "differing"):
        if (getattr(stage, name) or 0) > stage.judged:
            yield f"{name} is {getattr(stage, name)} of {stage.judged} {stage.unit}"
    if stage.correct is None or stage.host_correct is None:
        if stage.host_cosine is None or stage.correct != stage.host_correct:
            yield "nothing is said of what is right"
        if not stage.low - _ROUNDING <= stage.top1 <= stage.high + _ROUNDING:
            yield f"{stage.low} to {stage.high} is not the interval of the mean cosine"
        return
    if abs(stage.top1 - stage.correct / stage.judged) > _ROUNDING:
        yield (
            f"top1 is {stage.top1}, but {stage.correct} of {stage.judged} {stage.unit} are correct"
        )
    elif stage.pixels is not None:
        yield from _overlap(stage)
    elif not all(
        map(_close, (stage.low, stage.high), wilson_interval(stage.correct, stage.images))
    ):
        yield f"{stage.low} to {stage.high} is not the interval of top1"
    recalls = [recall for recall in stage.recall if recall is not None]
    if recalls and stage.balanced is not None and not _close(fmean(recalls), stage.balanced):
        yield f"balanced is {stage.balanced}, but the mean of all recalls is {fmean(recalls)}"
    if abs(stage.correct - stage.host_correct) > stage.differing:
        yield (
            f"{stage.correct} {stage.unit} are correct here and {stage.host_correct} on the host, "
            f"but only {stage.differing} are labeled otherwise"
        )


def _overlap(stage: StageResult) -> Iterator[str]:
    """Of label maps: the interval around the accuracy, and intersection over union."""
    if not stage.low - _ROUNDING <= stage.top1 <= stage.high + _ROUNDING:
        yield f"{stage.low} to {stage.high} is not the interval of top1"
    known = [overlap for overlap in stage.iou if overlap is not None]
    if not known or stage.mean_iou is None or not _close(fmean(known), stage.mean_iou):
        yield f"mean_iou is {stage.mean_iou}, which is not the mean of iou"


def _parity(report: Report) -> Iterator[str]:
    expected = program_names(report)
    if sorted(result.name for result in report.parity) != sorted(expected):
        yield f"parity: not one entry for each of {', '.join(expected)}"
    if len({result.tolerance for result in report.parity}) > 1:
        yield "parity: several tolerances"
    for result in report.parity:
        if (result.max_abs is None) != (result.max_rel is None):
            yield f"parity.{result.name}: one of max_abs and max_rel is missing"
        if result.passed != within_limit(result):
            yield (
                f"parity.{result.name}: passed is {str(result.passed).lower()}, but max_rel is "
                f"{result.max_rel} and tolerance {result.tolerance}"
            )
        if result.least_sqnr_db is not None and (result.sqnr_db is None) != (
            result.max_rel is None
        ):
            yield f"parity.{result.name}: one of sqnr_db and max_rel is missing"
    limits = {result.name: result.least_sqnr_db for result in report.parity}
    for arm in report.bundle.arms:
        if (limits.get(arm.name) is None) != (arm.precision == PLAIN):
            yield f"parity.{arm.name}: not judged as {arm.precision} is"
    for stage in report.stages:
        name, precision = f"stage-{stage.index}", stage.precision
        if precision is not None and (limits.get(name) is None) != (precision == PLAIN):
            yield f"parity.{name}: not judged as {precision} is"


def _metrics(report: Report) -> Iterator[str]:
    """Metrics that repeat what stages, parity and bundle say."""
    stated: dict[str, float | None] = {"bundle_bytes": report.bundle.bytes}
    stated |= {f"parity_max_rel.{result.name}": result.max_rel for result in report.parity}
    for stage in report.stages:
        stated[f"accuracy.{stage.index}"] = stated["accuracy.final"] = stage.top1
        stated[f"accuracy_differing.{stage.index}"] = stage.differing
        stated[f"stage_bytes.{stage.index}"] = stage.load_bytes
    for name, value in stated.items():
        metric = report.metrics.get(name)
        if metric is not None and metric.samples != (value,):
            yield f"metrics.{name}: samples are {list(metric.samples)}, but the report says {value}"


def _not_of_all(name: str, found: Sequence[int], stages: Sequence[StageResult]) -> str | None:
    """What is wrong with lines that have to be one for each stage, in order."""
    if [*found] == [stage.index for stage in stages]:
        return None
    return f"runs.{name}: of stages {[*found]}, not of all in order"


def _maps_in_runs(report: Report) -> Iterator[str]:
    """What was counted of label maps, against what is said of the stages."""
    lines, stages = report.runs.maps, report.stages
    if wrong := _not_of_all("maps", [line.stage for line in lines], stages):
        yield wrong
        return
    for line, stage in zip(lines, stages, strict=True):
        counted = (len(line.right), sum(line.right), sum(line.labeled), sum(line.differing))
        if counted != (stage.images, stage.correct, stage.pixels, stage.differing):
            yield f"runs.maps: stage {line.stage} counts {counted}, stages say otherwise"
        found = overlaps(line.hits, line.given, line.there)
        if len(found) != len(stage.iou) or not all(map(_equal, found, stage.iou)):
            yield f"runs.maps: stage {line.stage} gives another iou than stages say"


def _embeddings_in_runs(report: Report) -> Iterator[str]:
    """The cosines of embeddings, against what is said of the stages."""
    lines, stages = report.runs.embeddings, report.stages
    if wrong := _not_of_all("embeddings", [line.stage for line in lines], stages):
        yield wrong
        return
    for line, stage in zip(lines, stages, strict=True):
        if len(line.cosines) != stage.images or not _close(fmean(line.values), stage.top1):
            yield f"runs.embeddings: stage {line.stage} gives another mean cosine than stages say"


def _labels_in_runs(report: Report) -> Iterator[str]:
    """The labels of images, against what is said of the stages."""
    runs, stages = report.runs, report.stages
    counts = {line.stage: len(line.predictions) for line in runs.predictions}
    wanted = {stage.index: stage.images for stage in stages}
    if counts != wanted or len(runs.predictions) != len(stages):
        yield f"runs.predictions: {counts} predictions by stage, but images are {wanted}"
    classes = len(report.labels)
    for line in runs.predictions:
        if classes and max(line.predictions, default=0) >= classes:
            yield f"runs.predictions: stage {line.stage} gives labels beyond the {classes} classes"
        lost = line.predictions.count(NO_LABEL)
        if line.stage < len(stages) and lost > stages[line.stage].images - (
            stages[line.stage].correct or 0
        ):
            yield f"runs.predictions: stage {line.stage} is right on images that it gives no label"


_ANSWERS_IN_RUNS = {
    None: _labels_in_runs,
    "dense": _maps_in_runs,
    "embedding": _embeddings_in_runs,
}


def _results_in_runs(report: Report) -> Iterator[str]:
    runs = report.runs
    kind = None if report.output is None else report.output.kind
    yield from _ANSWERS_IN_RUNS[kind](report)
    if any((stage.host_cosine is not None) != (kind == "embedding") for stage in report.stages):
        yield "stages: not judged as what the model answers with is"
    found = [(line.name, line.input) for line in runs.logits]
    inputs = range(max((line.input for line in runs.logits), default=0) + 1)
    if sorted(found) != sorted((name, i) for name in program_names(report) for i in inputs):
        yield "runs.logits: not one line for each golden input of each stage and control arm"
    lengths = {len(line.logits) for line in runs.logits}
    lengths |= {len(sample.logits) for samples in runs.ttfi for sample in samples}
    if len(lengths) > 1:
        yield "runs: logits of several lengths"
    lost_logits = {line.name for line in runs.logits if not is_finite(line.logits)}
    for result in report.parity:
        if (result.max_rel is None) != (result.name in lost_logits):
            yield f"parity.{result.name}: max_rel is {result.max_rel}, its logits say otherwise"


def _timings_in_runs(report: Report) -> Iterator[str]:
    runs, stages = report.runs, len(report.stages)
    for name in ("ttfi", "progress", "paced", "latency"):
        if not getattr(runs, name):
            yield f"runs.{name}: empty"
    arms = arm_names(report.bundle)
    for number, samples in enumerate(runs.ttfi):
        starts = sorted((sample.arm, sample.state) for sample in samples)
        states = {sample.state for sample in samples}
        if not starts or starts != sorted((arm, state) for arm in arms for state in states):
            yield f"runs.ttfi.{number}: not one start of each of {', '.join(sorted(arms))}"
    for number, processes in enumerate(runs.memory):
        if sorted(sample.arm for sample in processes) != sorted(arms):
            yield f"runs.memory.{number}: not one process of each of {', '.join(sorted(arms))}"
    for number, run in enumerate(runs.latency):
        if sorted(sample.name for sample in run) != sorted(program_names(report)):
            yield f"runs.latency.{number}: not one line for each stage and control arm"
    for aside in runs.rejected:
        if contention.of_rejected(aside) != aside.wall_over_cpu:
            yield f"runs.rejected: a run of round {aside.round} has another wall_over_cpu"
    yield from _rates_in_runs(report)
    yield from _two_steps_in_runs(report)
    for sample in (sample for samples in runs.climbs for sample in samples):
        if len(sample.loads) != stages:
            yield f"runs: a {sample.state} run reached {len(sample.loads)} of {stages} stages"
            return


def _two_steps_in_runs(report: Report) -> Iterator[str]:
    """A run of two stages in every start state of each round, and none at a frame rate."""
    rounds = report.runs.two_step
    states = sorted({run.state for runs in rounds for run in runs})
    for number, runs in enumerate(rounds):
        if sorted(run.state for run in runs) != states:
            yield f"runs.two_step.{number}: not one run of each of {', '.join(states)}"
        if any(len(run.loads) != 2 or run.fps for run in runs):
            yield f"runs.two_step.{number}: not two stages at full speed"


def _rates_in_runs(report: Report) -> Iterator[str]:
    """One run for each frame rate that was asked for, and none elsewhere."""
    runs, asked = report.runs, sorted(report.context.options.fps)
    if any(sample.fps for samples in (*runs.progress, runs.paced) for sample in samples):
        yield "runs.progress, runs.paced: frames came in some, which belong to runs.served"
    for name, rounds in (("served", runs.served), ("served_paced", runs.served_paced)):
        if asked and not rounds:
            yield f"runs.{name}: empty"
        for number, samples in enumerate(rounds):
            if sorted(sample.fps for sample in samples) != asked:
                yield f"runs.{name}.{number}: not one run at each of {asked} frames a second"
