"""Climbs: every inference of a process that serves while it loads, with its loads and swaps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.core.formatting import milliseconds, size
from pipeline.harness.samples import frame_begin_ns
from pipeline.report.climb import PACED, Climb, active_ns, median_round, runs_of
from pipeline.report.render.drawing import PANEL_WIDTH, SMALL, Drawing
from pipeline.report.render.palette import BAD, LOADING, SERIES, SOFT, Color
from pipeline.report.render.panel import Key, Panel, Plot
from pipeline.report.render.tables import states_of
from pipeline.report.schema import Report

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: As many inferences of a climb are drawn; of more, those that matter and a sample of the others.
MOST_DRAWN = 600
#: Of the others, the slowest are drawn.
_SLOWEST = 60
_NARROW, _WIDE = (PANEL_WIDTH, 230.0), (960.0, 270.0)
_WIDE_TEXT = 12.0


@dataclass(frozen=True, slots=True)
class _Kind:
    """What an inference is.

    Attributes:
        name: what the page calls it.
        color: of its mark.
        marker: the same, as matplotlib calls it.
        size: of its mark, in units.
    """

    name: str
    color: Color
    marker: str
    size: float


_PLAIN = _Kind("inference", SERIES[0], "o", 3)
_FIRST = _Kind("first after a swap", SERIES[3], "D", 5)
_LATE = _Kind("late: the next frame had come", BAD, "X", 6)
_KINDS = (_PLAIN, _FIRST, _LATE)


@dataclass(frozen=True, slots=True)
class _Inference:
    """One of a climb, with times in ms since the app wanted an answer."""

    number: int
    begin: float
    took: float
    stage: int
    kind: _Kind

    def __str__(self) -> str:
        what = "" if self.kind is _PLAIN else f" ({self.kind.name})"
        return (
            f"inference {self.number} on stage {self.stage}{what}: {milliseconds(self.took)} ms, "
            f"begun after {milliseconds(self.begin)} ms"
        )


def climb_plot(report: Report) -> Plot:
    """The climb from the coldest start, and those that are no start; each of the median round."""
    states, runs = states_of(report), runs_of(report)
    shown = [run for run in runs if runs[run] and (run not in states or run == states[0])]
    panels: list[Panel] = []
    kinds: set[str] = set()
    for run in shown:
        number = median_round(runs[run])
        climb = Climb(run, number, runs[run][number], report.stages)
        every = list(_inferences(climb))
        drawn = _thinned(every)
        kinds |= {each.kind.name for each in drawn}
        left = f"{len(drawn)} of {len(every)} inferences are drawn. " if drawn != every else ""
        panels.append(
            Panel(
                _title(run, states),
                _drawn(climb, drawn, wide=False),
                wide=_drawn(climb, drawn, wide=True),
                note=f"{left}Round {number}, the median one.",
                by_time=True,
            )
        )
    marks = [Key(kind.color, kind.name) for kind in _KINDS if kind.name in kinds]
    around = (Key(LOADING, "a block loads"), Key(SOFT, "a swap", "dashed"))
    return Plot(tuple(panels), (*marks, *around))


def _title(run: str, states: Sequence[str]) -> str:
    if run in states:
        return f"{run} start, at full speed".capitalize()
    if run == PACED:
        return "A while at each stage"
    rate, _, paced = run.partition("fps")
    return f"{rate} frames a second" + (", a while at each stage" if paced else "")


def _inferences(climb: Climb) -> Iterator[_Inference]:
    """All of them, in order."""
    runs, before = climb.sample.inferences, climb.sample.inferences.stage[0]
    times = zip(runs.begin_ns, runs.duration_ns, runs.stage, strict=True)
    for number, (begin, took, stage) in enumerate(times):
        kind = _FIRST if stage != before else _PLAIN
        if climb.sample.fps:
            due = frame_begin_ns(runs.frame[number] + 1, climb.sample.fps)
            kind = _LATE if begin + took > due else kind
        yield _Inference(number, begin / 1e6, took / 1e6, stage, kind)
        before = stage


def _thinned(every: list[_Inference]) -> list[_Inference]:
    """Those that are drawn: all that are special or slow, and evenly many of the others."""
    if len(every) <= MOST_DRAWN:
        return every
    slow = sorted(every, key=lambda each: -each.took)[:_SLOWEST]
    kept = {each.number for each in (*slow, every[-1])}
    kept |= {each.number for each in every if each.kind is not _PLAIN}
    step = -(-len(every) // max(1, MOST_DRAWN - len(kept)))
    return [each for each in every if each.number in kept or each.number % step == 0]


def _drawn(climb: Climb, inferences: list[_Inference], wide: bool) -> str:
    name = f"climb-{climb.run}{'-wide' if wide else ''}"
    text = _WIDE_TEXT if wide else SMALL
    drawing = Drawing(name, _WIDE if wide else _NARROW, text=text)
    (axis,) = drawing.axes
    end = max(climb.sample.wall_ns / 1e6, *(each.begin + each.took for each in inferences))
    # From 0 to the slowest: what a user waits for at most is not cut off.
    axis.set(xlim=(0, end), ylim=(0, 1.18 * max(each.took for each in inferences)))
    drawing.label("ms since the app wanted an answer", "latency, ms")
    _loads(drawing, axis, climb, text)
    for kind in _KINDS:
        if of_kind := [each for each in inferences if each.kind is kind]:
            (dots,) = axis.plot(
                [each.begin for each in of_kind],
                [each.took for each in of_kind],
                kind.marker,
                color=kind.color.light,
                markersize=kind.size,
                markeredgewidth=0,
                clip_on=False,
            )
            drawing.say(dots, *map(str, of_kind))
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
            drawing.say(band, f"{named}: {size(load.bytes)} load in {milliseconds(taken)} ms")
            line = axis.axvline(active, color=SOFT.light, linewidth=1, linestyle=(0, (3, 2)))
            drawing.say(
                line,
                f"swap to {named}, {stage.top1:.1%} accurate, after {milliseconds(active)} ms; "
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
