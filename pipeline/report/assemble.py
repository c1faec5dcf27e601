"""From a campaign to a report."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from pipeline.bundle.control import Controls
from pipeline.bundle.manifest import Manifest
from pipeline.bundle.output import JudgedBy
from pipeline.core.errors import DeviceError
from pipeline.device.guards import Finding
from pipeline.evaluation.label_scores import cosines
from pipeline.evaluation.parity import Parity, ParityLimit
from pipeline.harness.campaign import Campaign
from pipeline.harness.chain_arm import chain_arm, measured_arms
from pipeline.harness.excerpt import excerpt_places
from pipeline.harness.placement import Payload
from pipeline.harness.samples import Logits, Runs
from pipeline.report.integrity import within_limit, wrong_results
from pipeline.report.metrics import metrics_of
from pipeline.report.ratios import ratios_of
from pipeline.report.schema import (
    ArmFacts,
    BundleFacts,
    Context,
    ParityResult,
    Report,
    Validity,
    Verdict,
)
from pipeline.report.stage_results import OTHER_HARNESS, stage_results
from pipeline.report.suspicion import WRONG_RESULTS, suspicions
from pipeline.settings import PLAIN

T = TypeVar("T")
Logits64 = npt.NDArray[np.float64]


def compose_report(payload: Payload, campaign: Campaign, context: Context) -> Report:
    """Puts a report together and judges whether it may be trusted.

    Wrong results do not stop it: the report then says so itself, its validity being ``invalid``.

    Raises:
        DeviceError: the device answered for other stages or inputs than it was asked.
    """
    manifest = payload.bundle.manifest
    parity = _parity(payload, campaign.logits)
    stages = stage_results(payload.bundle, campaign)
    facts = bundle_facts(manifest, payload.controls)
    runs = _runs(campaign)
    metrics = metrics_of(runs, stages, parity, facts, manifest.warnings)
    report = Report(
        bundle=facts,
        context=context,
        validity=Validity(verdict="valid", reasons=()),
        stages=tuple(stages),
        parity=tuple(parity),
        metrics=metrics,
        ratios=ratios_of(metrics, facts.arms, stages),
        runs=runs,
        schedule=manifest.schedule,
        input=manifest.input,
        labels=manifest.model.labels,
        output=manifest.model.output,
        warnings=manifest.warnings,
    )
    wrong = wrong_results(report)
    reasons = (*(Finding(id=WRONG_RESULTS, text=text) for text in wrong), *suspicions(report))
    verdict: Verdict = "invalid" if wrong else "suspect" if reasons else "valid"
    return report.model_copy(update={"validity": Validity(verdict=verdict, reasons=reasons)})


def bundle_facts(manifest: Manifest, controls: Controls) -> BundleFacts:
    """What a report says of a bundle and its control arms."""
    return BundleFacts(
        name=manifest.name,
        id=manifest.id,
        family=manifest.model.family,
        blocks=manifest.model.blocks,
        backend=manifest.backend.name,
        exporter=manifest.backend.exporter,
        precision=manifest.backend.precision,
        threads=manifest.backend.threads,
        bytes=sum(entry.bytes for entry in manifest.artifacts),
        arms=tuple(
            ArmFacts(
                name=arm.name,
                route=arm.route,
                precision=arm.precision,
                bytes=arm.bytes,
                host_top1=arm.accuracy.top1,
            )
            for arm in measured_arms(manifest, controls)
        ),
    )


def _parity(payload: Payload, logits: Sequence[Logits]) -> list[ParityResult]:
    bundle = payload.bundle
    golden = bundle.manifest.golden
    size = math.prod(bundle.manifest.model.answer.shape)
    judged_by = bundle.manifest.model.judged_by
    # Of label maps the harness prints some logits, which stand for all.
    places = excerpt_places(size) if judged_by == "dense" else range(size)
    expected = {f"stage-{k}": bundle.root / file.path for k, file in enumerate(golden.outputs)}
    expected |= {arm.name: payload.control_root / arm.golden.path for arm in payload.controls.arms}
    if (chain := chain_arm(bundle.manifest, payload.controls)) is not None:
        expected[chain.name] = bundle.root / golden.outputs[chain.stage.index].path
    asked = sorted((name, image) for name in expected for image in range(golden.images))
    if sorted((line.name, line.input) for line in logits) != asked:
        raise DeviceError(
            f"the device gave {len(logits)} answers to golden inputs, not one of each of "
            f"{', '.join(expected)} to each of {golden.images}",
            OTHER_HARNESS,
        )
    if lengths := {len(line.logits) for line in logits} - {len(places)}:
        raise DeviceError(
            f"the device gave {min(lengths)} logits to a golden input, not {len(places)}",
            OTHER_HARNESS,
        )
    quantized = _quantized_programs(bundle.manifest, payload.controls)
    results: list[ParityResult] = []
    for name, path in expected.items():
        reference = np.fromfile(path, dtype="<f4").reshape(golden.images, size).astype(float)
        if judged_by == "dense":
            reference = reference[:, list(places)]
        rows = {line.input: line.logits for line in logits if line.name == name}
        got = np.array([rows[index] for index in range(golden.images)], dtype=np.float64)
        least = golden.least_sqnr_db if name in quantized else None
        limit = ParityLimit(golden.tolerance, least)
        results.append(_compared(name, got, reference, limit, judged_by))
    return results


def _quantized_programs(manifest: Manifest, controls: Controls) -> set[str]:
    """The stages and control arms that have programs which do not compute in float32."""
    units = {unit.id for unit in manifest.artifacts if unit.precision != PLAIN}
    stages = {f"stage-{s.index}" for s in manifest.stages if units.intersection(s.units)}
    return stages | {
        arm.name for arm in measured_arms(manifest, controls) if arm.precision != PLAIN
    }


def _compared(
    name: str, got: Logits64, reference: Logits64, limit: ParityLimit, judged_by: JudgedBy
) -> ParityResult:
    """What comparing answers ``[inputs, floats]`` with those of eager PyTorch gives."""
    finite = bool(np.isfinite(got).all())  # None became NaN
    parity = Parity.of(got, reference)
    agreement = cosine = None
    if finite and judged_by == "label":  # else no row of which the largest is one
        agreement = float((got.argmax(axis=1) == reference.argmax(axis=1)).mean())
    if finite and judged_by == "embedding":
        cosine = float(cosines(got, reference).min())
    found = ParityResult(
        name=name,
        max_abs=parity.max_abs if finite else None,
        max_rel=parity.max_rel if finite else None,
        tolerance=limit.tolerance,
        passed=False,
        sqnr_db=parity.sqnr_db if finite else None,
        least_sqnr_db=limit.least_sqnr_db,
        agreement=agreement,
        cosine=cosine,
    )
    return found.model_copy(update={"passed": within_limit(found)})


def _runs(campaign: Campaign) -> Runs:
    return Runs(
        ttfi=_rounds(campaign.ttfi),
        progress=_rounds(campaign.progress),
        paced=tuple(campaign.paced),
        latency=_rounds(campaign.latency),
        predictions=tuple(campaign.predictions),
        maps=tuple(campaign.maps),
        embeddings=tuple(campaign.embeddings),
        logits=tuple(campaign.logits),
        served=_rounds(campaign.served),
        served_paced=_rounds(campaign.served_paced),
        memory=_rounds(campaign.memory),
        two_step=_rounds(campaign.two_step),
        rejected=tuple(campaign.rejected),
    )


def _rounds(rounds: Sequence[Sequence[T]]) -> tuple[tuple[T, ...], ...]:
    return tuple(tuple(samples) for samples in rounds)
