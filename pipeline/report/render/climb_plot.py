"""Climbs: every inference of a process that serves while it loads, with its loads and swaps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice, pairwise
from typing import TYPE_CHECKING

from pipeline.core.formatting import milliseconds, size
from pipeline.harness.samples import frame_begin_ns
from pipeline.report.climb import PACED, Climb, active_ns, median_round, runs_of
from pipeline.report.metric_names import states_in
from pipeline.report.render.drawing import PANEL_WIDTH, SMALL, Drawing
from pipeline.report.render.palette import BAD, LOADING, SERIES, SOFT, Color
from pipeline.report.render.panel import Key, Panel, Plot
from pipeline.report.schema import Report

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: As many inferences of all climbs are drawn, or a page would be too large; of more, those that
#: matter and a sample of the others.
MOST_DRAWN = 1200
#: As many frames that were never answered are drawn.
_MOST_FRAMES = 200
_NARROW, _WIDE = (PANEL_WIDTH, 230.0), (960.0, 270.0)
_WIDE_TEXT = 12.0


@dataclass(frozen=True, slots=True)
class _Kind:
    """What an inference is.

    Attributes:
        name: what the page calls it.
        color: of its mark.
        marker: its mark, as matplotlib calls it.
        size: of its mark, in units.
        character: what looks like its mark.
    """

    name: str
    color: Color
    marker: str
    size: float
    character: str


_PLAIN = _Kind("inference", SERIES[0], "o", 3, "\u2022")
_FIRST = _Kind("first after a swap", SERIES[3], "D", 5, "\u25c6")
_LATE = _Kind("late: the next frame had come", BAD, "X", 6, "\u00d7")
_NEVER = _Kind("a frame that was never answered", BAD, "|", 8, "|")
_KINDS = (_PLAIN, _FIRST, _LATE, _NEVER)


@dataclass(frozen=True, slots=True)
class _Mark:
    """An inference, or a frame that had none.

    Attributes:
        begin: ms since the app wanted an answer.
        took: ms; 0 for a frame.
        kind: what it is.
        value: what it says.
    """

    begin: float
    took: float
    kind: _Kind
    value: str


def climb_plot(report: Report) -> Plot:
    """Climbs of the median round: from the coldest start, paced, and at each frame rate."""
    states, runs = states_in(report.metrics), runs_of(report)
    others = [run for run in runs if run == PACED or run.endswith("fps")]
    panels: list[Panel] = []
    kinds: set[str] = set()
    shown = [run for run in (*states[:1], *others) if runs[run]]
    for run in shown:
        number = median_round(runs[run])
        climb = Climb(run, number, runs[run][number], report.stages, report.metric)
        every = [*_inferences(climb)]
        drawn = _thinned(every, MOST_DRAWN // len(shown))
        marks = [*drawn, *_never_answered(climb)]
        kinds |= {each.kind.name for each in marks}
        left = f"{len(drawn)} of {len(every)} inferences are drawn. " if drawn != every else ""
        panels.append(
            Panel(
                _title(run, states),
                _drawn(climb, marks, wide=False),
                wide=_drawn(climb, marks, wide=True),
                note=f"{left}Round {number}, which reached the last stage in the median time.",
                by_time=True,
            )
        )
    keys = [
        Key(kind.color, kind.name, mark=kind.character) for kind in _KINDS if kind.name in kinds
    ]
    around = (Key(LOADING, "a block loads"), Key(SOFT, "a swap", "dashed"))
    return Plot(tuple(panels), (*keys, *around))


def _title(run: str, states: Sequence[str]) -> str:
    if run in states:
        return f"{run} start, at full speed".capitalize()
    if run == PACED:
        return "A while at each stage"
    return f"Warm start, {run.removesuffix('fps')} frames a second"


def _inferences(climb: Climb) -> Iterator[_Mark]:
    """All of them, in order."""
    runs, before = climb.sample.inferences, climb.sample.inferences.stage[0]
    times = zip(runs.begin_ns, runs.duration_ns, runs.stage, strict=True)
    for number, (begin, took, stage) in enumerate(times):
        kind = _FIRST if stage != before else _PLAIN
        if climb.sample.fps:
            due = frame_begin_ns(runs.frame[number] + 1, climb.sample.fps)
            kind = _LATE if begin + took > due else kind
        what = "" if kind is _PLAIN else f" ({kind.name})"
        words = (
            f"inference {number} on stage {stage}{what}: {milliseconds(took / 1e6)} ms, "
            f"begun after {milliseconds(begin / 1e6)} ms"
        )
        yield _Mark(begin / 1e6, took / 1e6, kind, words)
        before = stage


def _never_answered(climb: Climb) -> Iterator[_Mark]:
    """The frames that others were answered instead of, as many as there is room for."""
    frames = climb.sample.inferences.frame
    gaps = (range(one + 1, other) for one, other in pairwise((-1, *frames)))
    for frame in islice(chain.from_iterable(gaps), _MOST_FRAMES):
        came = frame_begin_ns(frame, climb.sample.fps) / 1e6
        words = f"frame {frame} came after {milliseconds(came)} ms and was never answered"
        yield _Mark(came, 0.0, _NEVER, words)


def _thinned(every: list[_Mark], most: int) -> list[_Mark]:
    """Those that are drawn: special and slow ones, and evenly many of the others."""
    if len(every) <= most:
        return every
    numbers = range(len(every))
    slow = sorted(numbers, key=lambda number: -every[number].took)[: most // 10]
    special = [number for number in numbers if every[number].kind is not _PLAIN]
    kept = {*slow, numbers[-1], *special[: most // 2]}
    step = -(-len(every) // (most - len(kept)))
    return [each for number, each in enumerate(every) if number in kept or number % step == 0]


def _drawn(climb: Climb, marks: list[_Mark], wide: bool) -> str:
    name = f"climb-{climb.run}{'-wide' if wide else ''}"
    text = _WIDE_TEXT if wide else SMALL
    drawing = Drawing(name, _WIDE if wide else _NARROW, text=text)
    (axis,) = drawing.axes
    end = max(climb.sample.wall_ns / 1e6, *(each.begin + each.took for each in marks))
    # From 0 to the slowest: what a user waits for at most is not cut off.
    axis.set(xlim=(0, end), ylim=(0, 1.18 * max(each.took for each in marks)))
    drawing.label("ms since the app wanted an answer", "latency, ms")
    _loads(drawing, axis, climb, text)
    for kind in _KINDS:
        if of_kind := [each for each in marks if each.kind is kind]:
            (dots,) = axis.plot(
                [each.begin for each in of_kind],
                [each.took for each in of_kind],
                kind.marker,
                color=kind.color.light,
                markersize=kind.size,
                markeredgewidth=2 if kind is _NEVER else 0,
                clip_on=False,
            )
            drawing.annotate(dots, *(each.value for each in of_kind))
    return drawing.inline()


def _loads(drawing: Drawing, axis: Axes, climb: Climb, text: float) -> None:
    """Every load as a band, every swap as a line with its stage's number where there is room."""
    free = 0.0
    room = axis.get_xlim()[1] * 1.2 * text / (_WIDE if text > SMALL else _NARROW)[0]
    for load in climb.sample.loads:
        stage, active = climb.stages[load.stage], active_ns(load) / 1e6
        taken = (load.ready_ns - load.load_begin_ns) / 1e6
        named = f"stage {load.stage}, {stage.route}"
        if load.stage:
            band = axis.axvspan(
                load.load_begin_ns / 1e6, load.ready_ns / 1e6, color=LOADING.light, zorder=0.5
            )
            drawing.annotate(band, f"{named}: {size(load.bytes)} load in {milliseconds(taken)} ms")
            line = axis.axvline(active, color=SOFT.light, linewidth=1, linestyle=(0, (3, 2)))
            drawing.annotate(
                line,
                f"swap to {named}, {climb.metric.words(stage.top1)}, "
                f"after {milliseconds(active)} ms; "
                f"it took {milliseconds(load.commit_ns / 1e6)} ms",
            )
        if active >= free:
            axis.annotate(
                str(load.stage),
                (active, 1),
                (3, -2),
                xycoords=("data", "axes fraction"),
                textcoords="offset points",
                fontsize=text,
                va="top",
            )
            free = active + room
