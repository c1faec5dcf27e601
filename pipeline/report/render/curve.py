"""How good answers are over the time since the app wanted one: progressive against the arms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import TYPE_CHECKING

from pipeline.core.formatting import milliseconds
from pipeline.report.arms import accuracy_of, arm_names
from pipeline.report.metric_names import states_in
from pipeline.report.render.drawing import PANEL_WIDTH, SMALL, Drawing
from pipeline.report.render.palette import SERIES, Color
from pipeline.report.render.panel import Key, Panel, Plot
from pipeline.report.schema import BundleFacts, Metric, Report, StageResult
from pipeline.settings import CHAIN, PROGRESSIVE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_HEIGHT = 224.0
#: Of a file: as wide as a page of text.
_FILE_SIZE = (620.0, 250.0)
#: Longer routes are named by their stage's number.
_LONGEST_ROUTE = 5
#: Where a name stands, in units from the line.
_ABOVE, _BELOW = 6, -13


def arm_colors(facts: BundleFacts) -> dict[str, Color]:
    """A color for each arm, the progressive one first: the same in every plot."""
    return dict(zip(arm_names(facts), cycle(SERIES), strict=False))


def arm_title(arm: str) -> str:
    """What plots call an arm."""
    if arm == CHAIN:
        return "chain in parallel"
    return "progressive" if arm == PROGRESSIVE else f"{arm} alone"


def arm_keys(facts: BundleFacts) -> tuple[Key, ...]:
    """The legend of a plot of arms."""
    return tuple(Key(color, arm_title(arm)) for arm, color in arm_colors(facts).items())


def curve_plot(report: Report, notes: dict[str, str]) -> Plot:
    """A panel for each start state.

    Args:
        report: what to draw.
        notes: what to say below each state's panel.
    """
    panels: list[Panel] = []
    for state in states_in(report.metrics):
        drawing = Drawing(f"curve-{state}", (PANEL_WIDTH, _HEIGHT))
        _Curve(report, state).draw(drawing, drawing.axes[0])
        drawing.label("ms since the app wanted an answer", report.metric.axis)
        panels.append(Panel(f"{state} start", drawing.inline(), note=notes[state], by_time=True))
    return Plot(tuple(panels), arm_keys(report.bundle))


def curve_file(report: Report) -> str:
    """All start states beside each other, as the text of an SVG file."""
    states = states_in(report.metrics)
    drawing = Drawing("curve", _FILE_SIZE, len(states))
    for axis, state in zip(drawing.axes, states, strict=True):
        _Curve(report, state).draw(drawing, axis)
        drawing.label("ms since the app wanted an answer")
        axis.set_title(f"{state} start", fontsize="medium")
    drawing.axes[0].set_ylabel(report.metric.axis)
    drawing.legend_below(columns=4)
    return drawing.file()


@dataclass(frozen=True, slots=True)
class _Curve:
    report: Report
    state: str

    def draw(self, drawing: Drawing, axis: Axes) -> None:
        """Every arm's first answer, and the progressive one's every stage."""
        report, stages = self.report, self.report.stages
        metric, scale = report.metric, report.metric.scale
        lows = [scale * stage.low for stage in stages]
        highs = [scale * stage.high for stage in stages]
        least = min([*lows, *(scale * accuracy_of(arm, report) for arm in report.bundle.arms)])
        floor = least - 0.35 * (max(highs) - least or 0.01 * scale)  # all may be alike
        reached = [self._metric(f"time_to_stage_ms.{stage.index}").median for stage in stages]
        alone = [self._metric(f"ttfi_ms.{arm.name}").median for arm in report.bundle.arms]
        end = 1.15 * max([*reached, *alone])
        colors = arm_colors(report.bundle)
        for arm, at in zip(report.bundle.arms, alone, strict=True):
            top1, color = accuracy_of(arm, report), colors[arm.name].light
            title = arm_title(arm.name)
            value = scale * top1
            axis.plot([at, at, end], [floor, value, value], color=color, label=title)
            (dot,) = axis.plot([at], [value], "s", color=color, markersize=4)
            words = _words(self._metric(f"ttfi_ms.{arm.name}"))
            drawing.annotate(dot, f"{title}: first answer after {words}, {metric.words(top1)}")
        tops = [scale * stage.top1 for stage in stages]
        color = colors[PROGRESSIVE].light
        axis.fill_between(
            [*reached, end],
            [*lows, lows[-1]],
            [*highs, highs[-1]],
            step="post",
            color=color,
            alpha=0.14,
            linewidth=0,
        )
        axis.plot(
            [reached[0], *reached, end],
            [floor, *tops, tops[-1]],
            drawstyle="steps-post",
            color=color,
            linewidth=2.2,
            label=arm_title(PROGRESSIVE),
        )
        (dots,) = axis.plot(reached, tops, "o", color=color, markersize=5)
        drawing.annotate(dots, *map(self._stage_words, stages))
        _name_stages(axis, stages, tops, reached, end)
        axis.set(xlim=(0, end), ylim=(floor, max(highs) + 0.18 * (max(highs) - floor)))

    def _metric(self, name: str) -> Metric:
        return self.report.metrics[f"{name}.{self.state}"]

    def _stage_words(self, stage: StageResult) -> str:
        metric = self.report.metric
        accuracy = f"{metric.words(stage.top1)} [{metric.interval(stage.low, stage.high)}]"
        words = _words(self._metric(f"time_to_stage_ms.{stage.index}"))
        return f"stage {stage.index}, {stage.route}: first answer after {words}, {accuracy}"


def _words(metric: Metric) -> str:
    """A time with its interval."""
    low, high = milliseconds(metric.low), milliseconds(metric.high)
    return f"{milliseconds(metric.median)} ms [{low}-{high}]"


def _name_stages(
    axis: Axes,
    stages: Sequence[StageResult],
    tops: Sequence[float],
    reached: Sequence[float],
    end: float,
) -> None:
    """A name for each stage that has room: above the line, or below it before a near step up."""
    free = {_ABOVE: 0.0, _BELOW: 0.0}
    for stage, top, at, after in zip(stages, tops, reached, [*reached[1:], 2 * end], strict=True):
        name = stage.route if len(stage.route) <= _LONGEST_ROUTE else str(stage.index)
        width = end * (0.03 + 0.022 * len(name))
        wanted = (_BELOW, _ABOVE) if after - at < width else (_ABOVE, _BELOW)
        height = next((each for each in wanted if free[each] <= at), None)
        if height is None:
            continue
        where = (at, top)
        axis.annotate(name, where, (3, height), textcoords="offset points", fontsize=SMALL)
        free[height] = at + width
