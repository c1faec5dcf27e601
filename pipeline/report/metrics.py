"""From samples to metrics: flat names, such as ``ttfi_ms.pwl.cold``, each with its samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import get_args

from pipeline.evaluation.model_warnings import ModelWarning
from pipeline.harness.samples import Runs, State
from pipeline.report.metric_samples import Samples, samples_of
from pipeline.report.schema import BundleFacts, Metric, ParityResult, Ratio, StageResult
from pipeline.report.statistics import Estimate, paired_ratios


def metrics_of(
    runs: Runs,
    stages: Sequence[StageResult],
    parity: Sequence[ParityResult],
    facts: BundleFacts,
    warnings: Sequence[ModelWarning],
) -> dict[str, Metric]:
    """Every metric of a report's runs, by name."""
    found = samples_of(runs, stages, parity, facts, warnings)
    return {name: _metric(unit, samples) for name, (unit, samples) in sorted(found.items())}


def ratios_of(metrics: Mapping[str, Metric]) -> dict[str, Ratio]:
    """The ratios that say whether progressive loading pays, by name."""
    final = max(
        (int(name.split("-")[1]) for name in metrics if name.startswith("latency_ms.stage-")),
        default=0,
    )
    wanted = {
        "latency_stage0_over_student": ("latency_ms.stage-0", "latency_ms.student"),
        "latency_final_over_teacher": (f"latency_ms.stage-{final}", "latency_ms.teacher"),
    }
    for state in get_args(State):
        ttfi, teacher = f"ttfi_ms.pwl.{state}", f"ttfi_ms.teacher.{state}"
        wanted |= {
            f"ttfi_over_student.{state}": (ttfi, f"ttfi_ms.student.{state}"),
            f"ttfi_over_teacher.{state}": (ttfi, teacher),
            f"process_over_teacher.{state}": (
                f"process_ms.pwl.{state}",
                f"process_ms.teacher.{state}",
            ),
            f"final_over_teacher_ttfi.{state}": (f"time_to_final_ms.{state}", teacher),
            f"peak_rss_over_teacher.{state}": (
                f"peak_rss_mb.pwl.{state}",
                f"peak_rss_mb.teacher.{state}",
            ),
        }
    return {
        name: ratio
        for name, (numerator, denominator) in sorted(wanted.items())
        if (ratio := ratio_of(metrics, numerator, denominator)) is not None
    }


def ratio_of(metrics: Mapping[str, Metric], numerator: str, denominator: str) -> Ratio | None:
    """The ratio of two metrics, or None when one is missing or they share no round."""
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


def estimate_of_ratio(numerator: Metric, denominator: Metric) -> Estimate | None:
    """The ratio of two metrics within rounds, or None when they share no round."""
    values = paired_ratios(_by_round(numerator), _by_round(denominator))
    return Estimate.of(list(values.values())) if values else None


def _by_round(metric: Metric) -> Samples:
    return dict(zip(metric.rounds, metric.samples, strict=True))


def _metric(unit: str, samples: Samples) -> Metric:
    estimate = Estimate.of(list(samples.values()))
    return Metric(
        unit=unit,
        samples=tuple(samples.values()),
        rounds=tuple(samples.keys()),
        median=estimate.median,
        low=estimate.low,
        high=estimate.high,
    )
