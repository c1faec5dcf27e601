"""The samples of every metric, as the runs of a report and what was found in them give them.

Their names are flat, such as ``ttfi_ms.pwl.cold``. What is written into a report, and what one that
is read has to hold, is reckoned here alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from statistics import median
from typing import TYPE_CHECKING

from pipeline.core.intervals import wilson_interval
from pipeline.harness.memory_sample import MemorySample
from pipeline.harness.samples import ProgressSample, Runs, TtfiSample
from pipeline.model.arm import STUDENT, TEACHER
from pipeline.report.integrity import differing_allowed, over_limit
from pipeline.report.latencies import (
    first_and_steady,
    latencies_around,
    missed_frames,
    time_to_stage_ns,
    worst_latency_ns,
)
from pipeline.report.peak import peak_of
from pipeline.settings import PROGRESSIVE

if TYPE_CHECKING:
    from pipeline.evaluation.model_warnings import ModelWarning
    from pipeline.report.schema import BundleFacts, ParityResult, StageResult

PHASES = ("engine", "locate", "verify", "map", "parse", "prepare", "run0")

#: Of the highest memory; see `pipeline.report.peak`.
PARTS = ("weights", "workspaces", "mappings", "rest", "whole")

#: One value by round number.
Samples = dict[int, float]


def samples_of(
    runs: Runs,
    stages: Sequence[StageResult],
    parity: Sequence[ParityResult],
    facts: BundleFacts,
    warnings: Sequence[ModelWarning],
) -> dict[str, tuple[str, Samples]]:
    """Unit and samples of every metric, by name."""
    found: dict[str, tuple[str, Samples]] = {}
    climbs = (_through(runs.progress), _served(runs.served))
    paced = (_paced(runs.paced), _served_paced(runs.served_paced))
    alone = (_memory(runs.memory), _two_step(runs.two_step))
    for samples in (_starts(runs.ttfi), *climbs, *paced, *alone):
        for name, unit, number, value in samples:
            found.setdefault(name, (unit, {}))[1][number] = value
    for number, run in enumerate(runs.latency):
        for sample in run:
            name = f"latency_ms.{sample.name}"
            found.setdefault(name, ("ms", {}))[1][number] = median(sample.steady_ns) / 1e6
    for stage in stages:
        unit = _unit(stage)
        found[f"accuracy.{stage.index}"] = (unit, {0: stage.top1})
        if stage.balanced is not None:
            found[f"balanced_accuracy.{stage.index}"] = ("share", {0: stage.balanced})
        found[f"accuracy_differing.{stage.index}"] = (stage.unit, {0: stage.differing})
        if stage.mean_iou is not None:
            found[f"mean_iou.{stage.index}"] = ("share", {0: stage.mean_iou})
        allowed = differing_allowed(stage.judged, parity[0].tolerance, stage.host_agreement)
        found[f"differing_over_allowed.{stage.index}"] = ("ratio", {0: stage.differing / allowed})
        for name in (str(stage.index), "final"):  # the last stage's stays
            found[f"accuracy_minus_host.{name}"] = (unit, {0: _minus_host(stage)})
            found[f"accuracy_minus_host_low.{name}"] = (unit, {0: _minus_host_low(stage)})
        found[f"stage_bytes.{stage.index}"] = ("bytes", {0: stage.load_bytes})
    found["accuracy.final"] = (_unit(stages[-1]), {0: stages[-1].top1})
    if stages[-1].balanced is not None:
        found["balanced_accuracy.final"] = ("share", {0: stages[-1].balanced})
    if stages[-1].mean_iou is not None:
        found["mean_iou.final"] = ("share", {0: stages[-1].mean_iou})
    for result in parity:
        if result.max_rel is not None:
            found[f"parity_max_rel.{result.name}"] = ("relative", {0: result.max_rel})
        if (over := over_limit(result)) is not None:
            found[f"parity_over_tolerance.{result.name}"] = ("ratio", {0: over})
        if result.cosine is not None:
            found[f"parity_cosine.{result.name}"] = ("cosine", {0: result.cosine})
        if result.least_sqnr_db is not None and result.sqnr_db is not None:
            found[f"parity_sqnr_db.{result.name}"] = ("dB", {0: result.sqnr_db})
        if result.least_sqnr_db is not None and result.agreement is not None:
            found[f"parity_agreement.{result.name}"] = ("share", {0: result.agreement})
    found["bundle_bytes"] = ("bytes", {0: facts.bytes})
    sizes = {arm.name: arm.bytes for arm in facts.arms}
    for name, size in sizes.items():
        found[f"control_bytes.{name}"] = ("bytes", {0: size})
    if both := sizes.get(STUDENT, 0) + sizes.get(TEACHER, 0):
        found["bundle_over_controls"] = ("ratio", {0: facts.bytes / both})
    # Notes on single images are not about the model itself.
    against = Counter(warning.kind for warning in warnings if warning.kind != "data")
    found["model_warnings"] = ("warnings", {0: against.total()})
    found["model_warnings.teacher"] = ("warnings", {0: against["teacher"]})
    return found


def _unit(stage: StageResult) -> str:
    """What accuracy is counted in."""
    return "share" if stage.host_cosine is None else "cosine"


def _minus_host(stage: StageResult) -> float:
    if stage.correct is None or stage.host_correct is None:
        return stage.top1 - (stage.host_cosine or 0.0)
    return (stage.correct - stage.host_correct) / stage.judged


def _minus_host_low(stage: StageResult) -> float:
    """Accuracy less the lower end of the 95 % interval of the host's on the same images."""
    if stage.host_low is not None or stage.host_correct is None:
        return stage.top1 - (stage.host_low or 0.0)
    return stage.top1 - wilson_interval(stage.host_correct, stage.images)[0]


Found = Iterator[tuple[str, str, int, float]]


def _starts(rounds: Iterable[Sequence[TtfiSample]]) -> Found:
    """What single starts say: name, unit, round, value."""
    for number, samples in enumerate(rounds):
        for sample in samples:
            arm = f"{sample.arm}.{sample.state}"
            yield f"ttfi_ms.{arm}", "ms", number, sample.ttfi_ns / 1e6
            yield f"process_ms.{arm}", "ms", number, sample.process_ns / 1e6
            for phase in PHASES:
                value = getattr(sample, f"{phase}_ns") / 1e6
                yield f"phase_ms.{arm}.{phase}", "ms", number, value
            if sample.bytes_read >= 0:  # -1 where the device does not say
                yield f"bytes_read.{arm}", "bytes", number, float(sample.bytes_read)
            if sample.cache_bytes:
                yield f"cache_bytes.{arm}", "bytes", number, float(sample.cache_bytes)
            # The progressive arm's highest comes later, when it loads.
            if sample.arm != PROGRESSIVE and sample.peak_rss_kb >= 0:
                yield f"peak_rss_mb.{arm}", "MB", number, sample.peak_rss_kb / 1e3


def _through(rounds: Iterable[Sequence[ProgressSample]]) -> Found:
    """What runs at full speed say."""
    for number, samples in enumerate(rounds):
        for sample in samples:
            state = sample.state
            if sample.peak_rss_kb >= 0:
                yield f"peak_rss_mb.pwl.{state}", "MB", number, sample.peak_rss_kb / 1e3
            if sample.cache_bytes:
                yield f"cache_bytes.all.{state}", "bytes", number, float(sample.cache_bytes)
            for load in sample.loads[1:]:
                taken = (load.ready_ns - load.load_begin_ns) / 1e6
                yield f"swap_load_ms.{load.stage}.{state}", "ms", number, taken
            yield from _climb(sample, number, state)


def _served(rounds: Iterable[Sequence[ProgressSample]]) -> Found:
    """What runs say to which frames came at a rate."""
    for number, samples in enumerate(rounds):
        for sample in samples:
            rate = rate_name(sample.fps)
            yield from _climb(sample, number, rate)
            missed = missed_frames(sample)
            yield f"missed_deadlines.{rate}", "frames", number, missed.climbing
            yield f"missed_deadlines_steady.{rate}", "frames", number, missed.steady


def _climb(sample: ProgressSample, number: int, how: str) -> Found:
    """When stages were reached, and the longest that an answer took on the way."""
    for load in sample.loads:
        reached = time_to_stage_ns(sample, load.stage) / 1e6
        yield f"time_to_stage_ms.{load.stage}.{how}", "ms", number, reached
    final = time_to_stage_ns(sample, sample.loads[-1].stage) / 1e6
    yield f"time_to_final_ms.{how}", "ms", number, final
    yield f"worst_latency_ms.{how}", "ms", number, worst_latency_ns(sample) / 1e6


def _paced(runs: Iterable[ProgressSample]) -> Found:
    """What runs say that stay at each stage for a while."""
    for number, sample in enumerate(runs):
        worst: list[float] = []
        quiet: list[float] = []
        for load in sample.loads:
            stage = load.stage
            last = stage == sample.loads[-1].stage
            memory = sample.rss_kb if last else load.rss_kb
            if memory >= 0:
                yield f"stage_rss_mb.{stage}", "MB", number, memory / 1e3
            if stage == 0:
                continue
            before, during = latencies_around(sample, stage)
            if before and during:
                steady = median(before)
                yield f"latency_during_load_ms.{stage}", "ms", number, max(during) / 1e6
                worst.append(max(during) / steady)
                quiet.append(max(before[-len(during) :]) / steady)
            yield f"swap_commit_ms.{stage}", "ms", number, load.commit_ns / 1e6
        if worst:
            yield "swap_stall", "ratio", number, max(worst)
            # The same of as many inferences just before each load: what the device does by itself.
            yield "swap_stall_quiet", "ratio", number, max(quiet)
        yield from _first_after_swaps(sample, number, "")


def _served_paced(rounds: Iterable[Sequence[ProgressSample]]) -> Found:
    """The same where frames come at a rate."""
    for number, samples in enumerate(rounds):
        for sample in samples:
            yield from _first_after_swaps(sample, number, f".{rate_name(sample.fps)}")


def _first_after_swaps(sample: ProgressSample, number: int, rate: str) -> Found:
    """The first inference after each swap, alone and over its stage's steady median."""
    ratios: list[float] = []
    for load in sample.loads[1:]:
        first, steady = first_and_steady(sample, load.stage)
        if first is None:
            continue
        yield f"first_after_swap_ms.{load.stage}{rate}", "ms", number, first / 1e6
        if steady:
            ratios.append(first / median(steady))
            name = f"first_after_swap_over_steady.{load.stage}{rate}"
            yield name, "ratio", number, ratios[-1]
    if ratios:
        yield f"first_after_swap_over_steady.worst{rate}", "ratio", number, max(ratios)


def _memory(rounds: Iterable[Sequence[MemorySample]]) -> Found:
    """What the highest memory of each arm is made of."""
    for number, samples in enumerate(rounds):
        for sample in samples:
            if (peak := peak_of(sample)) is None:
                continue
            for part in PARTS:
                name = f"peak_part_mb.{sample.arm}.{part}"
                yield name, "MB", number, getattr(peak, part) / 1e3


def _two_step(rounds: Iterable[Sequence[ProgressSample]]) -> Found:
    """What runs say that load the student, then the whole teacher."""
    for number, samples in enumerate(rounds):
        for sample in samples:
            first, final = (time_to_stage_ns(sample, stage) / 1e6 for stage in (0, 1))
            yield f"two_step_first_ms.{sample.state}", "ms", number, first
            yield f"two_step_final_ms.{sample.state}", "ms", number, final
            worst = worst_latency_ns(sample) / 1e6
            yield f"two_step_worst_latency_ms.{sample.state}", "ms", number, worst
            if sample.peak_rss_kb >= 0:
                peak = sample.peak_rss_kb / 1e3
                yield f"two_step_peak_rss_mb.{sample.state}", "MB", number, peak


def rate_name(fps: int) -> str:
    """What metrics and runs are called in which so many frames come in a second."""
    return f"{fps}fps"
