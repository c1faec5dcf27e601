"""A small report, made by hand, for tests of what is done with reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.report.document import (
    BundleFacts,
    Context,
    Metric,
    Report,
    StageResult,
    Validity,
    Verdict,
)
from pipeline.report.statistics import Estimate

DEVICE = {
    "kind": "local",
    "serial": "local",
    "model": "Board",
    "abi": "x86_64",
    "system": "Linux 6",
    "sdk": None,
    "cores": 2,
    "memory_bytes": 8_000_000_000,
    "extra": {},
}


def metric(samples: Sequence[float], unit: str = "ms") -> Metric:
    estimate = Estimate.of(samples)
    return Metric(
        unit=unit,
        samples=tuple(samples),
        rounds=tuple(range(len(samples))),
        median=estimate.median,
        low=estimate.low,
        high=estimate.high,
    )


def around(value: float, spread: float = 0.01, count: int = 15) -> list[float]:
    """Samples around a value, `spread` being the largest relative deviation."""
    middle = (count - 1) / 2
    # Not in order: neighbours in time are not neighbours in size.
    order = [(index * 7) % count for index in range(count)]
    return [value * (1 + spread * (index - middle) / middle) for index in order]


def report(
    metrics: Mapping[str, Metric],
    *,
    verdict: Verdict = "valid",
    reasons: Sequence[str] = (),
    device: Mapping[str, Any] = DEVICE,
) -> Report:
    stage = StageResult(
        index=0,
        route="SS",
        load_bytes=1,
        correct=9,
        images=10,
        top1=0.9,
        low=0.6,
        high=0.98,
        host_correct=9,
        differing=0,
    )
    bundle = BundleFacts(
        name="tiny",
        id="ab" * 32,
        family="resnet",
        blocks=2,
        backend="executorch",
        exporter="executorch 1.5.1",
        precision="fp32",
        threads=1,
        bytes=1,
        control_bytes={},
    )
    context = Context(
        created="2026-01-02T03:04:05+00:00",
        tool="0.1.0",
        device=dict(device),
        harness={"engine": "executorch 1.5.1"},
        options={"rounds": 15},
        before={},
        after={},
        seconds=1.0,
    )
    return Report(
        bundle=bundle,
        context=context,
        validity=Validity(verdict=verdict, reasons=tuple(reasons)),
        stages=(stage,),
        parity=(),
        metrics=dict(metrics),
        ratios={},
        runs={},
    )
