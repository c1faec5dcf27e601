"""What one climb says of serving: when a stage answered, how long answers took, which came late.

A frame that comes at a rate has to be answered before it ends, which is when the next one comes.
An app that is late takes the newest frame that is there: those between are never answered.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.harness.samples import ProgressSample, frame_begin_ns

#: Inferences right after a swap whose latency is not steady yet.
SETTLING = 5


def time_to_stage_ns(sample: ProgressSample, stage: int) -> int:
    """When the first answer came that is at least as good as a stage's, since the app wanted one.

    At full speed a stage may be replaced before any inference ran on it.
    """
    runs = sample.inferences
    for begin, duration, ran in zip(runs.begin_ns, runs.duration_ns, runs.stage, strict=True):
        if ran >= stage:
            return begin + duration
    raise ValueError(f"no inference ran on stage {stage} or a later one")  # samples ensure one


def latencies_around(sample: ProgressSample, stage: int) -> tuple[list[int], list[int]]:
    """Latencies on the stage before `stage`: steady ones before its load began, and those during.

    An inference counts as during when any part of it overlaps the load or the swap.
    """
    load = next(load for load in sample.loads if load.stage == stage)
    end = load.ready_ns + load.commit_ns
    before: list[int] = []
    during: list[int] = []
    runs = sample.inferences
    for begin, duration, ran in zip(runs.begin_ns, runs.duration_ns, runs.stage, strict=True):
        if ran != stage - 1:
            continue
        if begin + duration <= load.load_begin_ns:
            before.append(duration)
        elif begin < end:
            during.append(duration)
    return before[SETTLING:], during


def first_and_steady(sample: ProgressSample, stage: int) -> tuple[int | None, list[int]]:
    """The latency of the first inference on a stage, and those once it has settled.

    The latter while nothing loads. At full speed there may be no inference on a stage at all.
    """
    runs = sample.inferences
    on_stage = [ns for ns, ran in zip(runs.duration_ns, runs.stage, strict=True) if ran == stage]
    first = on_stage[0] if on_stage else None
    if stage == sample.loads[-1].stage:
        return first, on_stage[SETTLING:]
    return first, latencies_around(sample, stage + 1)[0]


def worst_latency_ns(sample: ProgressSample) -> int:
    """The longest that an answer took in the whole run: where frames come, since its frame came."""
    return max(_responses(sample))


def _responses(sample: ProgressSample) -> Iterator[int]:
    runs = sample.inferences
    if not sample.fps:
        yield from runs.duration_ns
        return
    for begin, duration, frame in zip(runs.begin_ns, runs.duration_ns, runs.frame, strict=True):
        yield begin + duration - frame_begin_ns(frame, sample.fps)


@dataclass(frozen=True, slots=True)
class Missed:
    """Frames that were not answered before they ended: answered later, or never.

    Attributes:
        climbing: of those from the first one to the first answer of the last stage.
        steady: of those after.
    """

    climbing: int
    steady: int


def missed_frames(sample: ProgressSample) -> Missed:
    """Counts the frames of a run that came at a rate.

    Every frame counts that had ended when the last answer was there, whether anybody looked at it
    or not: what a long inference makes others miss is not left out.
    """
    runs, last = sample.inferences, sample.loads[-1].stage
    ends = [begin + took for begin, took in zip(runs.begin_ns, runs.duration_ns, strict=True)]
    reached = runs.stage.index(last)
    climbed = _frames_by(runs.frame[reached], ends[reached], sample.fps)
    all_frames = _frames_by(runs.frame[-1], ends[-1], sample.fps)
    in_time = [
        frame
        for frame, end in zip(runs.frame, ends, strict=True)
        if end <= frame_begin_ns(frame + 1, sample.fps)
    ]
    early = sum(frame < climbed for frame in in_time)
    return Missed(climbed - early, all_frames - climbed - (len(in_time) - early))


def _frames_by(answered: int, now_ns: int, fps: int) -> int:
    """How many frames had ended at some time, or were answered."""
    ended = now_ns * fps // 1_000_000_000
    # A frame's end is rounded down.
    ended += frame_begin_ns(ended + 1, fps) <= now_ns
    return max(answered + 1, ended)
