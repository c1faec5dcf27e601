"""From samples to metrics: flat names, such as ``ttfi_ms.pwl.cold``, each with its samples."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.evaluation.model_warnings import ModelWarning
from pipeline.harness.samples import Runs
from pipeline.report.metric_samples import Samples, samples_of
from pipeline.report.schema import BundleFacts, Metric, ParityResult, StageResult
from pipeline.report.statistics import Estimate


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
