"""Bars beneath each other, each below its name and value: readable on the narrowest screen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.report.render.drawing import PANEL_WIDTH, TEXT, Drawing
from pipeline.report.render.palette import INK, Color
from pipeline.report.render.panel import Panel

_ROW = 36.0
_AXIS = 34.0


@dataclass(frozen=True, slots=True)
class BarPart:
    """A piece of a bar.

    Attributes:
        length: in the unit of the axis.
        color: of it.
        value: what it says.
    """

    length: float
    color: Color
    value: str


@dataclass(frozen=True, slots=True)
class Bar:
    """A row.

    Attributes:
        label: stands above it.
        parts: from left to right.
        interval: of its whole length, if it has one.
    """

    label: str
    parts: tuple[BarPart, ...]
    interval: tuple[float, float] | None = None


def bars_panel(name: str, title: str, unit: str, bars: Sequence[Bar]) -> Panel:
    """A panel of bars.

    Args:
        name: told apart from all others on its page.
        title: of the panel.
        unit: of the axis.
        bars: from top to bottom.
    """
    drawing = Drawing(name, (PANEL_WIDTH, _AXIS + _ROW * max(1, len(bars))))
    (axis,) = drawing.axes
    for row, bar in enumerate(bars):
        left = 0.0
        for part in bar.parts:
            drawn = axis.barh(row, part.length, left=left, color=part.color.light, height=0.4)
            drawing.annotate(drawn.patches[0], part.value)
            left += part.length
        if bar.interval is not None:
            axis.plot(
                bar.interval, (row, row), color=INK.light, linewidth=1.2, solid_capstyle="butt"
            )
        axis.annotate(
            bar.label,
            (0, row - 0.28),
            (1, 0),
            textcoords="offset points",
            fontsize=TEXT,
            va="bottom",
        )
    drawing.without_upright_axis()
    drawing.label(unit)
    axis.set(ylim=(len(bars) - 0.65, -0.85), xlim=(0, None))
    return Panel(title, drawing.inline())
