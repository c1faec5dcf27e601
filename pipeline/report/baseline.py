"""Whether an earlier report may be compared with: the same model, measured the same way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.report.schema import Report

_DEVICE = "measure a baseline on this device"
_MODEL = "name a report of an earlier build of this model"
_BUILD = "build and measure the baseline with the same settings as this bundle"
_STAGES = "other stages ship; measure a baseline that has the same ones"
_ARMS = "another arm has that name; measure a baseline that has the same arms"
_HARNESS = "measure a baseline with the same harness package and processors"


@dataclass(frozen=True, slots=True)
class Condition:
    """What has to be equal, its value in both reports, and what to do where they differ."""

    name: str
    baseline: object
    report: object
    remedy: str


def mismatches(report: Report, baseline: Report) -> list[str]:
    """Why the two cannot be compared, a line each; empty if they can.

    What a new release may change does not matter: the bundle's id and bytes, the versions of
    exporter, engine and tool, how many rounds were measured, and which phone of one kind it was.
    """
    if baseline == report:
        return ["the baseline is this very report: name that of the last release"]
    return [
        f"the baseline has {found.name} {found.baseline!r}, this report {found.report!r}: "
        f"{found.remedy}"
        for found in unequal_conditions(report, baseline)
    ]


def unequal_conditions(report: Report, baseline: Report) -> list[Condition]:
    """What has to be equal in the two and is not."""
    return [each for each in _conditions(report, baseline) if each.baseline != each.report]


def metric_mismatch(metric: str, report: Report, baseline: Report) -> Condition | None:
    """The stage or control arm of a metric, if it is not the same one in the baseline."""
    index = _stage_of(metric)
    if index is None:
        return _arm_mismatch(metric, report, baseline)
    new, old = (
        next((stage.route for stage in each.stages if stage.index == index), None)
        for each in (report, baseline)
    )
    return None if new == old else Condition(f"stage {index}", old, new, _STAGES)


def _arm_mismatch(metric: str, report: Report, baseline: Report) -> Condition | None:
    parts = metric.split(".")[1:]
    new, old = (
        {arm.name: f"{arm.route} {arm.precision}" for arm in each.bundle.arms if arm.name in parts}
        for each in (report, baseline)
    )
    for name in sorted(new.keys() & old.keys()):
        if new[name] != old[name]:
            return Condition(f"arm {name}", old[name], new[name], _ARMS)
    return None


def _stage_of(metric: str) -> int | None:
    """The stage in a name: ``accuracy.1``, ``latency_ms.stage-1``, ``swap_load_ms.1.cold``."""
    for part in metric.split(".")[1:]:
        number = part.removeprefix("stage-")
        if number.isdecimal():
            return int(number)
    return None


def _conditions(report: Report, baseline: Report) -> Iterator[Condition]:
    then, now = baseline.context, report.context
    for key in ("model", "abi", "system", "cores"):
        name = f"device {key}"
        yield Condition(name, getattr(then.device, key), getattr(now.device, key), _DEVICE)
    yield Condition("harness target", then.target, now.target, _HARNESS)
    yield Condition("page cache dropped by", then.dropping, now.dropping, _DEVICE)
    for key in ("abi", "page_bytes", "cores"):
        name = f"harness {key}"
        yield Condition(name, getattr(then.harness, key), getattr(now.harness, key), _HARNESS)
    for key in ("name", "family", "blocks"):
        name = f"model {key}"
        yield Condition(name, getattr(baseline.bundle, key), getattr(report.bundle, key), _MODEL)
    yield Condition("stages are judged by", baseline.metric.title, report.metric.title, _MODEL)
    yield Condition("model classes", _classes(baseline), _classes(report), _MODEL)
    if baseline.input is not None and report.input is not None:  # reports of old have none
        before, here = baseline.input.shape, report.input.shape
        yield Condition("model input shape", before, here, _MODEL)
    for key in ("backend", "precision", "threads"):
        yield Condition(key, getattr(baseline.bundle, key), getattr(report.bundle, key), _BUILD)
    yield Condition("evaluation images", baseline.stages[0].images, report.stages[0].images, _BUILD)


def _classes(report: Report) -> int:
    return len(report.runs.logits[0].logits)
