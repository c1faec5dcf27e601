"""A report with all that a device gives: several states, arms and stages, times in order."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.evaluation.model_warnings import ModelWarning
from pipeline.harness.samples import (
    Inferences,
    LatencySample,
    ProgressSample,
    Runs,
    StageLoad,
    TtfiSample,
    frame_begin_ns,
)
from pipeline.report.arms import arm_names
from pipeline.report.metrics import metrics_of
from pipeline.report.ratios import ratios_of
from pipeline.report.schema import ArmFacts, Report
from tests.report.builder import ARMS, report, start, through, top1

ROUTES = ("SSS", "TSS", "TTS", "TTT")
STATES = ("cold", "warm")
ROUNDS = 7
FPS = 200
_RIGHT = (850, 900, 940, 950)
_MS = 1_000_000
_STUDENT, _TEACHER = ({**arm, "route": arm["route"][0] * 3, "bytes": 9_000_000} for arm in ARMS)
#: Milliseconds until an arm's first answer, from a warm start.
_FIRST = {"pwl": 5, "student": 4, "teacher": 250}


def lifelike(inferences: int = 40, more_arms: Sequence[str] = ()) -> Report:
    """A teacher that is late, replaced in three steps.

    Args:
        inferences: on each stage of a climb.
        more_arms: names of control arms beside student and teacher, each as the teacher.
    """
    plain = report({}, routes=ROUTES, blocks=3, bytes=9_900_000, arms=[_STUDENT, _TEACHER])
    arms = [_STUDENT, _TEACHER, *({**_TEACHER, "name": name} for name in more_arms)]
    bundle = plain.bundle.model_copy(update={"arms": tuple(map(ArmFacts.model_validate, arms))})
    stages = [
        each.model_copy(update={"correct": right, "host_correct": right} | top1(right))
        for each, right in zip(plain.stages, _RIGHT, strict=True)
    ]
    parity, logits = [*plain.parity], [*plain.runs.logits]
    for name in more_arms:
        parity.append(parity[-1].model_copy(update={"name": name}))
        logits += [each.model_copy(update={"name": name}) for each in logits[-2:]]
    timed = {
        "ttfi": [
            [_start(arm, state, k) for state in STATES for arm in arm_names(bundle)]
            for k in range(ROUNDS)
        ],
        "progress": [[_climb(state, k, inferences) for state in STATES] for k in range(ROUNDS)],
        "served": [[_climb("warm", k, inferences, FPS)] for k in range(ROUNDS)],
        "served_paced": [[_climb("warm", k, inferences, FPS)] for k in range(ROUNDS)],
        "paced": [_climb("warm", k, inferences) for k in range(ROUNDS)],
        "latency": [[_latency(result.name, k) for result in parity] for k in range(ROUNDS)],
        "logits": logits,
    }
    runs = Runs.model_validate(plain.runs.model_dump() | timed)
    warnings = (ModelWarning(kind="teacher", text="the teacher is no better than <chance>"),)
    metrics = metrics_of(runs, stages, parity, bundle, warnings)
    options = plain.context.options.model_copy(update={"fps": (FPS,)})
    update = {
        "context": plain.context.model_copy(update={"options": options}),
        "bundle": bundle,
        "stages": tuple(stages),
        "parity": tuple(parity),
        "runs": runs,
        "metrics": metrics,
        "ratios": ratios_of(metrics, bundle.arms, stages),
        "warnings": warnings,
    }
    return Report.model_validate(plain.model_copy(update=update).model_dump())


def _latency(name: str, number: int) -> LatencySample:
    return LatencySample(name=name, steady_ns=(2 * _MS + number,), steady_cpu_ns=(2 * _MS,))


def _start(arm: str, state: str, number: int) -> TtfiSample:
    slower = 2 if state == "cold" else 1
    ttfi = _FIRST.get(arm, _FIRST["teacher"]) * slower * _MS + number
    return start(arm, state).model_copy(
        update={
            "ttfi_ns": ttfi,
            "process_ns": ttfi + _MS,
            "parse_ns": ttfi // 4,
            "prepare_ns": ttfi // 2,
            "run0_ns": ttfi // 8,
            "peak_rss_kb": 20_000 if arm == "student" else 90_000,
        }
    )


def _climb(state: str, number: int, count: int, fps: int = 0) -> ProgressSample:
    """So many inferences on each stage; the next one loads during the last quarter of them.

    Args:
        state: of the page cache.
        number: of the round.
        count: of inferences on each stage.
        fps: frames that come in a second, each inference being of the newest one; 0: none come.
    """
    slower = 2 if state == "cold" else 1
    numbers = through(state, len(ROUTES)).model_dump()
    load = dict.fromkeys(StageLoad.model_fields, 1)
    loads = [load | {"stage": 0, "load_begin_ns": _MS, "ready_ns": 3 * _MS, "rss_kb": 20_000}]
    now = 4 * slower * _MS
    begin: list[int] = []
    took: list[int] = []
    stages: list[int] = []
    frames: list[int] = []
    for stage in range(len(ROUTES)):
        if stage:
            ready = {"load_begin_ns": begin[-count // 4], "ready_ns": now, "commit_ns": 2000}
            loads.append(load | ready | {"stage": stage, "rss_kb": 20_000 * (stage + 1)})
            now += 3000
        for each in range(count):
            if fps:
                frames.append(max(now * fps // 1_000_000_000, frames[-1] + 1 if frames else 0))
                now = max(now, frame_begin_ns(frames[-1], fps))
            begin.append(now)
            took.append((stage + 1) * slower * _MS * (3 if each == 0 else 1) + number)
            stages.append(stage)
            now += took[-1] + 1000
    inferences = Inferences(
        begin_ns=tuple(begin),
        duration_ns=tuple(took),
        cpu_ns=tuple(took),
        stage=tuple(stages),
        frame=tuple(frames),
    )
    update = {
        "fps": fps,
        "process_to_origin_ns": _MS,
        "loads": loads,
        "inferences": inferences,
        "wall_ns": now,
        "cpu_ns": now,
        "rss_kb": 80_000,
        "peak_rss_kb": 85_000,
    }
    return ProgressSample.model_validate(numbers | update)
