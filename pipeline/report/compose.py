"""From a campaign to a report."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from pipeline.bundle.control import Controls
from pipeline.bundle.manifest import Manifest
from pipeline.bundle.verify import Bundle
from pipeline.errors import DeviceError
from pipeline.harness.campaign import Campaign
from pipeline.harness.samples import Logits, Predictions, Runs
from pipeline.harness.state import DeviceState
from pipeline.proportion import wilson_interval
from pipeline.report.document import (
    BundleFacts,
    Context,
    ParityResult,
    Report,
    StageResult,
    Validity,
    Verdict,
)
from pipeline.report.integrity import within_tolerance, wrong_results
from pipeline.report.metrics import metrics_of, ratios_of

T = TypeVar("T")

#: Share of the processors' time in use when measuring begins, above which timings are suspect.
_BUSY = 0.25
_HOT_CELSIUS = 60.0
_LOW_BATTERY_PERCENT = 20
_MOMENTS = ("before", "after")
_REMEDY = "build the harness package with this release; it ran, but it answered something else"
#: The smallest normal float32: a reference of nothing but zeros has no scale.
_TINY = 1.2e-38


def compose_report(
    bundle: Bundle, controls: Controls, campaign: Campaign, context: Context
) -> Report:
    """Puts a report together and judges whether it may be trusted.

    Wrong results do not stop it: the report then says so itself, its validity being ``invalid``.

    Raises:
        DeviceError: the device answered for other stages or inputs than it was asked.
    """
    manifest = bundle.manifest
    parity = _parity(bundle, controls, campaign.logits)
    stages = _stages(bundle, campaign.predictions)
    facts = _facts(manifest, controls)
    metrics = metrics_of(campaign, stages, parity, facts)
    report = Report(
        bundle=facts,
        context=context,
        validity=Validity(verdict="valid", reasons=()),
        stages=tuple(stages),
        parity=tuple(parity),
        metrics=metrics,
        ratios=ratios_of(metrics),
        runs=_runs(campaign),
        schedule=manifest.schedule,
    )
    validity = _validity(wrong_results(report), campaign, context)
    return report.model_copy(update={"validity": validity})


def _facts(manifest: Manifest, controls: Controls) -> BundleFacts:
    return BundleFacts(
        name=manifest.name,
        id=manifest.id,
        family=manifest.model.family,
        blocks=manifest.model.blocks,
        backend=manifest.backend.name,
        exporter=manifest.backend.exporter,
        precision=manifest.backend.precision,
        threads=manifest.backend.threads,
        bytes=sum(entry.bytes for entry in manifest.artefacts),
        control_bytes={arm.name: arm.bytes for arm in controls.arms},
    )


def _stages(bundle: Bundle, predictions: Sequence[Predictions]) -> list[StageResult]:
    evaluation, stages = bundle.manifest.evaluation, bundle.manifest.stages
    labels = np.fromfile(bundle.root / evaluation.labels.path, dtype="<u2")
    expected = np.fromfile(bundle.root / evaluation.predictions.path, dtype="<u2")
    expected = expected.reshape(len(stages), evaluation.count)
    counts = {line.stage: len(line.predictions) for line in predictions}
    asked = {stage.index: evaluation.count for stage in stages}
    if counts != asked or len(predictions) != len(stages):
        raise DeviceError(f"the device gave {counts} predictions by stage, not {asked}", _REMEDY)
    by_stage = {line.stage: np.array(line.predictions) for line in predictions}
    results: list[StageResult] = []
    for stage in stages:
        got = by_stage[stage.index]
        correct = int((got == labels).sum())
        low, high = wilson_interval(correct, evaluation.count)
        results.append(
            StageResult(
                index=stage.index,
                route=stage.route,
                load_bytes=stage.load_bytes,
                correct=correct,
                images=evaluation.count,
                top1=correct / evaluation.count,
                low=low,
                high=high,
                host_correct=evaluation.correct[stage.index],
                differing=int((got != expected[stage.index]).sum()),
            )
        )
    return results


def _parity(bundle: Bundle, controls: Controls, logits: Sequence[Logits]) -> list[ParityResult]:
    golden = bundle.manifest.golden
    classes = len(bundle.manifest.model.labels)
    names = {f"stage-{stage.index}": stage.index for stage in bundle.manifest.stages}
    names |= {arm.name: arm.stage for arm in controls.arms}
    asked = sorted((name, image) for name in names for image in range(golden.images))
    if sorted((line.name, line.input) for line in logits) != asked:
        raise DeviceError(
            f"the device gave {len(logits)} answers to golden inputs, not one of each of "
            f"{', '.join(names)} to each of {golden.images}",
            _REMEDY,
        )
    if lengths := {len(line.logits) for line in logits} - {classes}:
        raise DeviceError(
            f"the device gave {min(lengths)} logits to a golden input, not {classes}", _REMEDY
        )
    results: list[ParityResult] = []
    for name, stage in names.items():
        path = bundle.root / golden.outputs[stage].path
        reference = np.fromfile(path, dtype="<f4").reshape(golden.images, classes)
        rows = {line.input: line.logits for line in logits if line.name == name}
        got = np.array([rows[index] for index in range(golden.images)], dtype=np.float64)
        largest = float(np.abs(got - reference).max())  # None became NaN, which max() keeps
        relative = largest / max(float(np.abs(reference).max()), _TINY)
        finite = math.isfinite(relative)
        max_abs, max_rel = (largest, relative) if finite else (None, None)
        results.append(
            ParityResult(
                name=name,
                stage=stage,
                max_abs=max_abs,
                max_rel=max_rel,
                tolerance=golden.tolerance,
                passed=within_tolerance(max_rel, golden.tolerance),
            )
        )
    return results


def _validity(wrong: Sequence[str], campaign: Campaign, context: Context) -> Validity:
    reasons: list[str] = [*wrong, *campaign.notes]
    states = {name: DeviceState.model_validate(getattr(context, name)) for name in _MOMENTS}
    busy = states["before"].busy_share
    if busy is not None and busy > _BUSY:
        reasons.append(f"the device was busy when measuring began: {busy:.0%} of its processors")
    for name, state in states.items():
        if state.hottest_celsius is not None and state.hottest_celsius > _HOT_CELSIUS:
            reasons.append(f"the device was hot {name} measuring: {state.hottest_celsius:.0f} °C")
        if state.battery_percent is not None and state.battery_percent < _LOW_BATTERY_PERCENT:
            reasons.append(f"the battery was low {name} measuring: {state.battery_percent} %")
    pages = [(s.state, s.pages - s.resident_pages) for round in campaign.ttfi for s in round]
    pages += [(s.state, s.pages - s.resident_pages) for round in campaign.progress for s in round]
    if partly := sum(1 for state, absent in pages if state == "warm" and absent):
        reasons.append(f"{partly} warm starts found some of their files out of memory")
    verdict: Verdict = "invalid" if wrong else "suspect" if reasons else "valid"
    return Validity(verdict=verdict, reasons=tuple(reasons))


def _runs(campaign: Campaign) -> Runs:
    return Runs(
        ttfi=_rounds(campaign.ttfi),
        progress=_rounds(campaign.progress),
        paced=tuple(campaign.paced),
        latency=_rounds(campaign.latency),
        predictions=tuple(campaign.predictions),
        logits=tuple(campaign.logits),
    )


def _rounds(rounds: Sequence[Sequence[T]]) -> tuple[tuple[T, ...], ...]:
    return tuple(tuple(samples) for samples in rounds)
