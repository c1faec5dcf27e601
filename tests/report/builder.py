"""A small report, made by hand, for tests of what is done with reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from pydantic import BaseModel

from pipeline.bundle.artifact import Edge
from pipeline.bundle.output import Output
from pipeline.core.intervals import wilson_interval
from pipeline.device.base import DeviceProperties
from pipeline.device.guards import Finding
from pipeline.device.state import DeviceState
from pipeline.evaluation.model_warnings import ModelWarning
from pipeline.evaluation.overlaps import overlaps
from pipeline.harness.campaign import CampaignOptions
from pipeline.harness.embedding_cosines import EmbeddingCosines
from pipeline.harness.map_counts import MapCounts
from pipeline.harness.samples import (
    Inferences,
    Info,
    LatencySample,
    Logits,
    Predictions,
    ProgressSample,
    Runs,
    StageLoad,
    TtfiSample,
)
from pipeline.report.metrics import metrics_of
from pipeline.report.schema import (
    BundleFacts,
    Context,
    Metric,
    ParityResult,
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
HARNESS = {
    "harness": "0.1.0",
    "engine": "executorch 1.5.1",
    "abi": "x86_64",
    "compiler": "12",
    "page_bytes": 4096,
    "cores_online": 2,
    "cores": [0, 1],
}
#: What a device says that says nothing.
STATE = DeviceState()
ARMS = [
    {"name": "student", "route": "SS", "precision": "fp32", "bytes": 1, "host_top1": 0.9},
    {"name": "teacher", "route": "TT", "precision": "fp32", "bytes": 1, "host_top1": 0.9},
]
BUNDLE = {
    "name": "tiny",
    "id": "ab" * 32,
    "family": "resnet",
    "blocks": 2,
    "backend": "executorch",
    "exporter": "executorch 1.5.1",
    "precision": "fp32",
    "threads": 1,
    "bytes": 1,
    "arms": ARMS,
}
IMAGES = 1000
TOLERANCE = 1e-4
#: The stages that reports are about, unless they are given others.
ROUTES = ("SS", "TT")
ROW = (1.0, -2.0)


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
    # Not in order: neighbors in time are not neighbors in size.
    order = [(index * 7) % count for index in range(count)]
    return [value * (1 + spread * (index - middle) / middle) for index in order]


def report(
    metrics: Mapping[str, Metric],
    *,
    verdict: Verdict = "valid",
    reasons: Sequence[Finding] = (),
    device: Mapping[str, Any] = DEVICE,
    harness: Mapping[str, Any] = HARNESS,
    target: str = "host",
    max_rel: Mapping[str, float | None] | None = None,
    routes: Sequence[str] = ROUTES,
    **bundle: Any,
) -> Report:
    """A report that is right in everything but what is asked for.

    Args:
        metrics: all that it has.
        verdict: its own.
        reasons: of the verdict.
        device: what it was measured on.
        harness: what it was measured with.
        target: what that was built for.
        max_rel: deviation of the programs named; None for NaN.
        routes: its stages.
        bundle: what differs from `BUNDLE`.
    """
    deviations = dict.fromkeys(programs(len(routes)), 1e-6) | dict(max_rel or {})
    context = Context(
        created="2026-01-02T03:04:05+00:00",
        tool="0.1.0",
        device=DeviceProperties.model_validate(device),
        engine=str(harness["engine"]),
        harness=Info.model_validate(harness),
        target=target,
        options=CampaignOptions(states=("warm",)),
        before=STATE,
        after=STATE,
        seconds=1.0,
    )
    return Report(
        bundle=BundleFacts.model_validate(BUNDLE | bundle),
        context=context,
        validity=Validity(verdict=verdict, reasons=tuple(reasons)),
        stages=tuple(stage(index, route) for index, route in enumerate(routes)),
        parity=tuple(parity(name, deviation) for name, deviation in deviations.items()),
        metrics=dict(metrics),
        ratios={},
        runs=runs(deviations),
    )


def measured(
    correct: int,
    host_correct: int,
    differing: int = 0,
    warnings: Sequence[ModelWarning] = (),
) -> Report:
    """A report with every metric, of a device that labels so many images rightly at each stage."""
    stages = tuple(
        stage(index, route).model_copy(
            update={
                "correct": correct,
                **top1(correct),
                "host_correct": host_correct,
                "differing": differing,
            }
        )
        for index, route in enumerate(ROUTES)
    )
    plain = report({})
    found = runs(dict.fromkeys(programs(2), 1e-6), states=("cold", "warm"))
    metrics = metrics_of(found, stages, plain.parity, plain.bundle, warnings)
    update = {"stages": stages, "runs": found, "metrics": metrics, "warnings": tuple(warnings)}
    return Report.model_validate(plain.model_copy(update=update).model_dump())


def judged_by_cosine(plain: Report) -> Report:
    """The same of embeddings, all with a cosine of 1."""
    update = dict.fromkeys(("correct", "host_correct", "balanced"))
    update |= dict.fromkeys(("top1", "low", "high", "host_cosine", "host_low"), 1.0)
    stages = tuple(each.model_copy(update=update) for each in plain.stages)
    parity = tuple(each.model_copy(update={"cosine": 1.0}) for each in plain.parity)
    lines = [EmbeddingCosines(stage=each.index, cosines=(1.0,) * IMAGES, lost=0) for each in stages]
    found = plain.runs.model_copy(update={"predictions": (), "embeddings": tuple(lines)})
    edge = Edge(shape=(1, len(ROW)), layout="NC")
    changed = {
        "stages": stages,
        "parity": parity,
        "runs": found,
        "metrics": metrics_of(found, stages, parity, plain.bundle, plain.warnings),
        "output": Output(kind="embedding", edge=edge, metric="cosine"),
    }
    return Report.model_validate(plain.model_copy(update=changed).model_dump())


def judged_by_pixel(plain: Report) -> Report:
    """The same of label maps, ten labeled pixels to an image, as accurate as its labels are."""
    stages, lines = [], []
    for each in plain.stages:
        assert each.correct is not None
        right = tuple(10 if image < each.correct else 0 for image in range(each.images))
        hits, pixels = (sum(right) // 2,) * 2, (5 * each.images,) * 2
        differing = tuple(10 * (image < each.differing) for image in range(each.images))
        found = overlaps(hits, pixels, pixels)
        update = {
            **dict.fromkeys(("correct", "host_correct"), sum(right)),
            **{"differing": sum(differing), "pixels": 10 * each.images, "host_low": each.low},
            **{"iou": found, "mean_iou": fmean(overlap or 0 for overlap in found)},
        }
        stages.append(each.model_copy(update=update))
        lines.append(
            MapCounts(
                **{"stage": each.index, "right": right, "labeled": (10,) * each.images},
                **{"differing": differing, "hits": hits, "given": pixels, "there": pixels},
                lost=0,
            )
        )
    runs_of = plain.runs.model_copy(update={"predictions": (), "maps": tuple(lines)})
    edge = Edge(shape=(1, 1, 1, len(ROW)), layout="NHWC")
    changed = {
        "stages": tuple(stages),
        "runs": runs_of,
        "metrics": metrics_of(runs_of, stages, plain.parity, plain.bundle, plain.warnings),
        "output": Output(kind="dense", edge=edge, metric="pixel_accuracy"),
    }
    return Report.model_validate(plain.model_copy(update=changed).model_dump())


def with_arm(plain: Report, name: str) -> Report:
    """The same measured with one more arm, which is the teacher by another name."""
    facts = plain.bundle.arms[-1].model_copy(update={"name": name})
    bundle = plain.bundle.model_copy(update={"arms": (*plain.bundle.arms, facts)})
    teacher = next(result for result in plain.parity if result.name == "teacher")
    parity = (*plain.parity, teacher.model_copy(update={"name": name}))
    found = {
        "logits": _again(plain.runs.logits, "name", name),
        "ttfi": tuple(_again(each, "arm", name) for each in plain.runs.ttfi),
        "latency": tuple(_again(each, "name", name) for each in plain.runs.latency),
    }
    runs_of = plain.runs.model_copy(update=found)
    metrics = metrics_of(runs_of, plain.stages, parity, bundle, plain.warnings)
    changed = {"bundle": bundle, "parity": parity, "runs": runs_of, "metrics": metrics}
    return Report.model_validate(plain.model_copy(update=changed).model_dump())


def _again(lines: Sequence[BaseModel], key: str, name: str) -> tuple[BaseModel, ...]:
    teachers = (line for line in lines if getattr(line, key) == "teacher")
    return (*lines, *(line.model_copy(update={key: name}) for line in teachers))


def stage(index: int, route: str) -> StageResult:
    return StageResult(
        index=index,
        route=route,
        load_bytes=1,
        correct=900,
        images=IMAGES,
        **top1(900),
        host_correct=900,
        differing=0,
    )


def top1(correct: int) -> dict[str, float]:
    low, high = wilson_interval(correct, IMAGES)
    share = correct / IMAGES
    return {"top1": share, "low": low, "high": high, "balanced": share}


def parity(name: str, deviation: float | None) -> ParityResult:
    return ParityResult(
        name=name,
        max_abs=deviation,
        max_rel=deviation,
        tolerance=TOLERANCE,
        passed=deviation is not None and deviation <= TOLERANCE,
    )


def programs(stages: int) -> list[str]:
    return [*(f"stage-{index}" for index in range(stages)), "student", "teacher"]


def runs(deviations: Mapping[str, float | None], states: Sequence[str] = ("warm",)) -> Runs:
    """What the programs said; NaN from those whose deviation is None."""
    logits = [
        Logits(name=name, input=i, logits=(None, 1.0) if value is None and i else ROW)
        for name, value in deviations.items()
        for i in range(2)
    ]
    stages = len(deviations) - 2
    return Runs(
        ttfi=(tuple(start(arm, each) for each in states for arm in ("pwl", "student", "teacher")),),
        progress=(tuple(through(each, stages) for each in states),),
        paced=(through("warm", stages),),
        latency=(
            tuple(
                LatencySample(name=name, steady_ns=(1,), steady_cpu_ns=(1,)) for name in deviations
            ),
        ),
        predictions=tuple(Predictions(stage=k, predictions=(0,) * IMAGES) for k in range(stages)),
        logits=tuple(logits),
        two_step=(tuple(through(each, 2) for each in states),),
    )


def start(arm: str, state: str) -> TtfiSample:
    numbers = dict.fromkeys(TtfiSample.model_fields, 1)
    return TtfiSample.model_validate(
        numbers
        | {"arm": arm, "state": state, "steady_ns": (1,), "steady_cpu_ns": (1,), "logits": ROW}
    )


def through(state: str, stages: int) -> ProgressSample:
    load = dict.fromkeys(StageLoad.model_fields, 1)
    numbers = dict.fromkeys(ProgressSample.model_fields, 1)
    order = tuple(range(stages))
    loads = tuple(StageLoad.model_validate(load | {"stage": k}) for k in order)
    inferences = Inferences(
        begin_ns=order, duration_ns=(1,) * stages, cpu_ns=(1,) * stages, stage=order
    )
    return ProgressSample.model_validate(
        numbers | {"state": state, "fps": 0, "loads": loads, "inferences": inferences}
    )
