"""The ratios that say whether progressive loading pays, paired by round."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import get_args

from pipeline.harness.samples import State
from pipeline.report.arms import stage_of
from pipeline.report.metric_names import rates_in
from pipeline.report.schema import ArmFacts, Metric, Ratio, StageResult
from pipeline.report.statistics import Estimate, paired_ratios
from pipeline.settings import PROGRESSIVE

#: What each ratio compares, in words; ``{arm}`` and ``{stage}`` are named in a ratio's name.
_WORDS = {
    "ttfi_over": "first answer: progressive / {arm} alone",
    "process_over": "first answer since process start: progressive / {arm}",
    "peak_rss_over": "peak memory: progressive / {arm} alone",
    "reached": "{stage} reached / {arm}'s first answer",
    "latency": "steady latency: {stage} / {arm} alone",
    "first_over_two_steps": "first answer: progressive / in two steps",
    "final_over_two_steps": "final stage reached: progressive / in two steps",
    "peak_rss_over_two_steps": "peak memory: progressive / in two steps",
}


def ratios_of(
    metrics: Mapping[str, Metric], arms: Sequence[ArmFacts], stages: Sequence[StageResult]
) -> dict[str, Ratio]:
    """Every ratio that a report's metrics allow, by name.

    The first answer is compared with every arm's. Where a stage goes the way of an arm in the same
    precision, the two answer alike: when it is reached, how fast it is and what it costs are
    compared with that arm.

    Args:
        metrics: of the report, by name.
        arms: the control arms.
        stages: of the bundle.
    """
    found: dict[str, Ratio] = {}
    pairs = [*_pairs(arms, stages), *_at_rates(arms, stages, rates_in(metrics)), *_two_steps()]
    for name, numerator, denominator in sorted(pairs):
        if (ratio := _ratio(metrics, numerator, denominator)) is not None:
            found[name] = ratio
    return found


def ratio_words(name: str) -> tuple[str, str]:
    """What a ratio of a report compares, in words, and its start state.

    Args:
        name: such as ``ttfi_over_teacher.cold``, or ``final_over_teacher_ttfi.30fps``.
    """
    title, _, state = name.partition(".")
    if title.endswith("_over_two_steps"):
        return _WORDS.get(title, title), state
    what, _, arm = title.partition("_over_")
    if arm.endswith("_ttfi"):
        return _WORDS["reached"].format(stage=_stage_words(what), arm=arm[: -len("_ttfi")]), state
    if what.startswith("latency_"):
        stage = _stage_words(what.removeprefix("latency_"))
        return _WORDS["latency"].format(stage=stage, arm=arm), state
    return _WORDS.get(f"{what}_over", title).format(arm=arm), state


def estimate_of_ratio(numerator: Metric, denominator: Metric) -> Estimate | None:
    """The ratio of two metrics within rounds, or None when they share no round."""
    values = paired_ratios(_by_round(numerator), _by_round(denominator))
    return Estimate.of(list(values.values())) if values else None


def _pairs(
    arms: Sequence[ArmFacts], stages: Sequence[StageResult]
) -> Iterator[tuple[str, str, str]]:
    """Name, numerator and denominator of every ratio."""
    for arm in arms:
        index, stage = _stage_of(arm, stages)
        if index is not None:
            latency = (f"latency_ms.stage-{index}", f"latency_ms.{arm.name}")
            yield f"latency_{stage}_over_{arm.name}", *latency
        for state in get_args(State):
            for kind in ("ttfi", "process", "peak_rss"):
                if kind != "ttfi" and index == 0:
                    continue  # the student is what the bundle begins with, not what it replaces
                unit = "mb" if kind == "peak_rss" else "ms"
                numerator, other = (f"{kind}_{unit}.{a}.{state}" for a in (PROGRESSIVE, arm.name))
                yield f"{kind}_over_{arm.name}.{state}", numerator, other
            if index:
                reached, alone = f"time_to_stage_ms.{index}", f"ttfi_ms.{arm.name}"
                name = f"{stage}_over_{arm.name}_ttfi.{state}"
                yield name, f"{reached}.{state}", f"{alone}.{state}"


def _stage_of(arm: ArmFacts, stages: Sequence[StageResult]) -> tuple[int | None, str]:
    """Index of the stage that answers as an arm does, if one does, and its name in ratios."""
    stage = stage_of(arm, stages)
    if stage is None:
        return None, ""
    return stage.index, "final" if stage is stages[-1] else f"stage{stage.index}"


def _at_rates(
    arms: Sequence[ArmFacts], stages: Sequence[StageResult], rates: Sequence[str]
) -> Iterator[tuple[str, str, str]]:
    """The same where frames come: an arm by itself has its first answer when it has it."""
    for arm in arms:
        index, stage = _stage_of(arm, stages)
        for rate in rates if index else ():
            name = f"{stage}_over_{arm.name}_ttfi.{rate}"
            yield name, f"time_to_stage_ms.{index}.{rate}", f"ttfi_ms.{arm.name}.warm"


def _two_steps() -> Iterator[tuple[str, str, str]]:
    """Against the student alone, then the whole teacher."""
    for state in get_args(State):
        for numerator, kind, other in (
            ("time_to_stage_ms.0", "first", "two_step_first_ms"),
            ("time_to_final_ms", "final", "two_step_final_ms"),
            (f"peak_rss_mb.{PROGRESSIVE}", "peak_rss", "two_step_peak_rss_mb"),
        ):
            yield f"{kind}_over_two_steps.{state}", f"{numerator}.{state}", f"{other}.{state}"


def _ratio(metrics: Mapping[str, Metric], numerator: str, denominator: str) -> Ratio | None:
    if numerator not in metrics or denominator not in metrics:
        return None
    estimate = estimate_of_ratio(metrics[numerator], metrics[denominator])
    if estimate is None:
        return None
    return Ratio(
        numerator=numerator,
        denominator=denominator,
        median=estimate.median,
        low=estimate.low,
        high=estimate.high,
        rounds=estimate.count,
    )


def _stage_words(stage: str) -> str:
    return "final stage" if stage == "final" else f"stage {stage.removeprefix('stage')}"


def _by_round(metric: Metric) -> dict[int, float]:
    return dict(zip(metric.rounds, metric.samples, strict=True))
