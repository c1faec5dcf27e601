"""The plots of several devices."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle, product

from pipeline.core.formatting import milliseconds
from pipeline.report.devices import DevicesReport, Measured, MetricSummary
from pipeline.report.render.bars import Bar, BarPart, bars_panel
from pipeline.report.render.curve import arm_colors, arm_keys, arm_title
from pipeline.report.render.drawing import PANEL_WIDTH, Drawing
from pipeline.report.render.palette import SERIES, Color
from pipeline.report.render.panel import Key, Panel, Plot
from pipeline.settings import PROGRESSIVE

#: As matplotlib calls a line's style, and as CSS does.
_LINES = {"-": "solid", "--": "dashed", ":": "dotted"}
_HEIGHT = 224.0
#: Longer names of devices lose their beginning.
_LONGEST = 28


def curves_plot(report: DevicesReport, states: list[str]) -> Plot:
    """Accuracy over the time since the app wanted an answer, a line for each device."""
    styles = dict(zip((name for name, _ in report.measured), _styles(), strict=False))
    panels = tuple(_curves(report, state, styles) for state in states)
    keys = (Key(color, name, _LINES[line]) for name, (line, color) in styles.items())
    return Plot(panels, tuple(keys))


def _curves(report: DevicesReport, state: str, styles: dict[str, tuple[str, Color]]) -> Panel:
    drawing = Drawing(f"curves-{state}", (PANEL_WIDTH, _HEIGHT))
    (axis,) = drawing.axes
    reached = {name: _reached(each, state) for name, each in report.measured}
    end = 1.15 * max((times[-1] for times in reached.values() if times), default=1.0)
    for name, measured in report.measured:
        if not (times := reached[name]):
            continue
        top1 = [report.metric.scale * stage.top1 for stage in measured.stages]
        line, color = styles[name]
        axis.plot(
            [*times, end],
            [*top1, top1[-1]],
            drawstyle="steps-post",
            linestyle=line,
            color=color.light,
        )
        (dots,) = axis.plot(times, top1, "o", color=color.light, markersize=4)
        values = zip(measured.stages, times, strict=True)
        drawing.annotate(
            dots,
            *(
                f"{name}, stage {stage.index}: first answer after {milliseconds(at)} ms, "
                f"{report.metric.words(stage.top1)}"
                for stage, at in values
            ),
        )
    axis.set(xlim=(0, end))
    drawing.label("ms since the app wanted an answer", report.metric.axis)
    return Panel(f"{state} start", drawing.inline())


def starts_plot(report: DevicesReport, states: list[str]) -> Plot:
    """Time to the first answer of every arm on every device."""
    colors = arm_colors(report.bundle)
    panels: list[Panel] = []
    for state in states:
        bars = [
            _bar(
                f"{_short(name)}, {arm_title(arm)}",
                measured.metrics.get(f"ttfi_ms.{arm}.{state}"),
                color,
            )
            for name, measured in report.measured
            for arm, color in colors.items()
        ]
        panels.append(bars_panel(f"starts-{state}", f"{state} start", "ms", bars))
    return Plot(tuple(panels), arm_keys(report.bundle))


def costs_plot(report: DevicesReport, states: list[str]) -> Plot:
    """Steady latency of the first and the last stage, and peak memory."""
    first, last = SERIES[:2]
    latencies: list[Bar] = []
    peaks: list[Bar] = []
    for name, measured in report.measured:
        for stage, color in ((measured.stages[0], first), (measured.stages[-1], last)):
            metric = measured.metrics.get(f"latency_ms.stage-{stage.index}")
            latencies.append(_bar(f"{_short(name)}, stage {stage.index}", metric, color))
        found = (measured.metrics.get(f"peak_rss_mb.{PROGRESSIVE}.{state}") for state in states)
        measured_ones = [metric for metric in found if metric is not None]
        highest = max(measured_ones, key=lambda metric: metric.median, default=None)
        peaks.append(_bar(_short(name), highest, first))
    panels = (
        bars_panel("latency", "Steady latency", "ms", latencies),
        bars_panel("peaks", "Peak memory, progressive", "MB", peaks),
    )
    return Plot(panels, (Key(first, "first stage, progressive"), Key(last, "last stage")))


def _bar(name: str, metric: MetricSummary | None, color: Color) -> Bar:
    if metric is None:
        return Bar(f"{name}: not measured", ())

    def words(number: float) -> str:
        return milliseconds(number) if metric.unit == "ms" else f"{number:.1f}"

    label = f"{name}: {words(metric.median)} {metric.unit}"
    part = BarPart(metric.median, color, f"{label} [{words(metric.low)}-{words(metric.high)}]")
    return Bar(label, (part,), (metric.low, metric.high))


def _styles() -> Iterator[tuple[str, Color]]:
    """Line and color: as many as can be told from each other, then from the beginning."""
    return cycle(product(_LINES, SERIES))


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else f"...{name[3 - _LONGEST :]}"


def _reached(measured: Measured, state: str) -> list[float]:
    """When each stage's first answer was there, in ms; empty where the state was not measured."""
    names = [f"time_to_stage_ms.{stage.index}.{state}" for stage in measured.stages]
    found = [measured.metrics[name].median for name in names if name in measured.metrics]
    return found if len(found) == len(names) else []
