"""From a campaign to a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.bundle.control import Controls
from pipeline.bundle.manifest import Manifest
from pipeline.bundle.verify import Bundle
from pipeline.class_scores import ClassScores
from pipeline.errors import DeviceError
from pipeline.harness.campaign import Campaign
from pipeline.harness.samples import Logits, Predictions
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
from pipeline.report.metrics import metrics_of, ratios_of, warning_count

#: Share of the processors' time in use when measuring begins, above which timings are suspect.
_BUSY = 0.25
_HOT_CELSIUS = 60.0
_LOW_BATTERY_PERCENT = 20
_MOMENTS = ("before", "after")


def compose_report(
    bundle: Bundle, controls: Controls, campaign: Campaign, context: Context
) -> Report:
    """Puts a report together and judges whether it may be trusted.

    Raises:
        DeviceError: the device answered for other stages or inputs than it was asked.
    """
    manifest = bundle.manifest
    stages = _stages(bundle, campaign.predictions)
    parity = _parity(bundle, controls, campaign.logits)
    facts = _facts(manifest, controls)
    metrics = metrics_of(campaign, stages, parity, facts.bytes)
    metrics["model_warnings"] = warning_count(manifest.warnings)
    return Report(
        bundle=facts,
        context=context,
        validity=_validity(campaign, context),
        stages=tuple(stages),
        parity=tuple(parity),
        metrics=metrics,
        ratios=ratios_of(metrics),
        runs=_runs(campaign),
        schedule=manifest.schedule,
        input=manifest.input,
        labels=manifest.model.labels,
        warnings=manifest.warnings,
    )


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
    evaluation = bundle.manifest.evaluation
    labels = np.fromfile(bundle.root / evaluation.labels.path, dtype="<u2")
    expected = np.fromfile(bundle.root / evaluation.predictions.path, dtype="<u2")
    expected = expected.reshape(len(bundle.manifest.stages), evaluation.count)
    by_stage = {line.stage: line.predictions for line in predictions}
    results: list[StageResult] = []
    for stage in bundle.manifest.stages:
        got = np.array(by_stage.get(stage.index, ()))
        if len(got) != evaluation.count:
            raise DeviceError(
                f"the device gave {len(got)} predictions for stage {stage.index}, "
                f"not {evaluation.count}",
                "run again",
            )
        correct = int((got == labels).sum())
        low, high = wilson_interval(correct, evaluation.count)
        classes = ClassScores.of(got, labels, len(bundle.manifest.model.labels))
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
                balanced=classes.balanced,
                recall=classes.recall,
            )
        )
    return results


def _parity(bundle: Bundle, controls: Controls, logits: Sequence[Logits]) -> list[ParityResult]:
    golden = bundle.manifest.golden
    classes = len(bundle.manifest.model.labels)
    names = {f"stage-{stage.index}": stage.index for stage in bundle.manifest.stages}
    names |= {arm.name: arm.stage for arm in controls.arms}
    results: list[ParityResult] = []
    for name, stage in names.items():
        path = bundle.root / golden.outputs[stage].path
        reference = np.fromfile(path, dtype="<f4").reshape(golden.images, classes)
        rows = {line.input: line.logits for line in logits if line.name == name}
        if sorted(rows) != list(range(golden.images)):
            raise DeviceError(
                f"the device gave logits of {name} for {len(rows)} inputs", "run again"
            )
        got = np.array([rows[index] for index in range(golden.images)], dtype=np.float64)
        difference = np.abs(got - reference)  # None became NaN
        largest = float(difference.max())
        relative = largest / float(np.abs(reference).max())
        finite = bool(np.isfinite(difference).all())
        results.append(
            ParityResult(
                name=name,
                stage=stage,
                max_abs=largest if finite else None,
                max_rel=relative if finite else None,
                tolerance=golden.tolerance,
                passed=finite and relative <= golden.tolerance,
            )
        )
    return results


def _validity(campaign: Campaign, context: Context) -> Validity:
    reasons: list[str] = list(campaign.notes)
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
    verdict: Verdict = "suspect" if reasons else "valid"
    return Validity(verdict=verdict, reasons=tuple(reasons))


def _runs(campaign: Campaign) -> dict[str, Any]:
    def plain(rounds: Sequence[Sequence[Any]]) -> list[list[Mapping[str, Any]]]:
        return [[sample.model_dump(mode="json") for sample in samples] for samples in rounds]

    return {
        "ttfi": plain(campaign.ttfi),
        "progress": plain(campaign.progress),
        "paced": plain([campaign.paced])[0],
        "latency": plain(campaign.latency),
        "predictions": plain([campaign.predictions])[0],
        "logits": plain([campaign.logits])[0],
    }
