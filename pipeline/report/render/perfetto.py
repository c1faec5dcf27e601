"""A climb as a trace that Perfetto (https://ui.perfetto.dev) opens.

Every time in it is one that the harness reported, counted from the start of the process.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.harness.samples import ProgressSample, StageLoad, frame_begin_ns
from pipeline.report.climb import Climb, active_ns
from pipeline.report.render.track_events import Slice, TraceWriter

_SERVING, _LOADING = 1, 2
_PHASES = ("locate", "verify", "map", "parse", "prepare")


def trace_of(climb: Climb, title: str) -> bytes:
    """The bytes of a trace: a track for each thread and for the stage in service, and counters.

    Args:
        climb: whose times are in order.
        title: what the process is called.
    """
    sample = climb.sample
    writer = TraceWriter(title, -sample.process_to_origin_ns)
    first, *later = _inferences(climb)
    writer.add_thread(_SERVING, "serving", (*_start(climb, first), *later))
    writer.add_thread(_LOADING, "loading", (_load(load, climb) for load in sample.loads[1:]))
    writer.add_track("stage in service", _stages(climb))
    if sample.fps:
        writer.add_track("frames", _frames(sample))
    metric = climb.metric
    top1 = [
        (active_ns(load), metric.scale * climb.stages[load.stage].top1) for load in sample.loads
    ]
    unit = "%" if metric.share else ""
    writer.add_counter(f"{metric.column} of the stage in service", unit, top1)
    for name, values in _memory(climb).items():
        writer.add_counter(name, "kB", values)
    return writer.to_bytes()


def _start(climb: Climb, first_answer: Slice) -> Iterator[Slice]:
    """From the start of the process to its first answer."""
    sample, first = climb.sample, climb.sample.loads[0]
    main = sample.start_ns - sample.process_to_origin_ns
    yield Slice("process starts", -sample.process_to_origin_ns, main)
    yield Slice("harness reads its plan and inputs", main, 0)
    inner = (
        Slice("open bundle and engine", 0, first.load_begin_ns),
        Slice("load stage 0", first.load_begin_ns, first.ready_ns, _load_notes(first)),
        first_answer,
    )
    yield Slice("first answer", 0, first_answer.end_ns, inner=inner)


def _inferences(climb: Climb) -> Iterator[Slice]:
    """Every inference; an arrow leads from each swap to the first that was begun after it."""
    runs = climb.sample.inferences
    waiting = list(climb.sample.loads[1:])
    for index, (stage, begin) in enumerate(zip(runs.stage, runs.begin_ns, strict=True)):
        ended = [load for load in waiting if load.stage <= stage and active_ns(load) <= begin]
        waiting = [load for load in waiting if load not in ended]
        yield Slice(
            f"inference, stage {stage}",
            begin,
            begin + runs.duration_ns[index],
            {"number": index, "CPU time of the process, ns": runs.cpu_ns[index]},
            ends=[load.stage for load in ended],
        )


def _frames(sample: ProgressSample) -> Iterator[Slice]:
    """Each frame from when it came to when the next one did; unanswered ones together."""
    runs, fps, last = sample.inferences, sample.fps, -1
    for frame, begin, took in zip(runs.frame, runs.begin_ns, runs.duration_ns, strict=True):
        came, end = frame_begin_ns(frame, fps), frame_begin_ns(frame + 1, fps)
        if frame > last + 1:
            skipped = {"frames": frame - last - 1}
            yield Slice("never answered", frame_begin_ns(last + 1, fps), came, skipped)
        late = begin + took > end
        notes = {"number": frame, "answered after, ns": begin + took - came}
        yield Slice("answered late" if late else "answered in time", came, end, notes)
        last = frame


def _load(load: StageLoad, climb: Climb) -> Slice:
    """What the loading thread does for a stage."""
    active = active_ns(load)
    programs = Slice("load programs", load.load_begin_ns, load.ready_ns, _load_notes(load))
    swap = Slice("swap", load.ready_ns, active, begins=(load.stage,))
    title = f"stage {load.stage}: {climb.stages[load.stage].route}"
    return Slice(title, load.load_begin_ns, active, inner=(programs, swap))


def _load_notes(load: StageLoad) -> dict[str, str | int]:
    """What the harness sums over a stage's new programs; when each one began it does not say."""
    ahead = {"ahead, begin, ns": load.ahead_begin_ns, "ahead, ns": load.ahead_ns}
    phases = {f"{phase}, ns": getattr(load, f"{phase}_ns") for phase in _PHASES}
    return phases | {"bytes": load.bytes} | (ahead if load.ahead_ns else {})


def _stages(climb: Climb) -> Iterator[Slice]:
    """Each from when it became the active one, whatever is still being inferred on another."""
    loads = climb.sample.loads
    ends = [*(active_ns(load) for load in loads[1:]), climb.sample.wall_ns]
    for load, end in zip(loads, ends, strict=True):
        stage = climb.stages[load.stage]
        notes: dict[str, str | int] = {
            climb.metric.column: climb.metric.value(stage.top1),
            "bytes loaded": load.bytes,
        }
        yield Slice(f"stage {load.stage}: {stage.route}", active_ns(load), end, notes)


def _memory(climb: Climb) -> dict[str, list[tuple[int, int]]]:
    """As read right after each stage became active, and at the end, where the device says."""
    sample = climb.sample
    read = [(active_ns(load), load.rss_kb, load.peak_rss_kb) for load in sample.loads]
    read.append((sample.wall_ns, sample.rss_kb, sample.peak_rss_kb))
    columns = {
        "resident memory": [(at, now) for at, now, _ in read if now >= 0],
        "highest resident memory": [(at, highest) for at, _, highest in read if highest >= 0],
    }
    return {name: values for name, values in columns.items() if values}
