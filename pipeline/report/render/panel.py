"""Panels: a plot is one or several of them, side by side where there is room."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.report.render.palette import Color


@dataclass(frozen=True, slots=True)
class Panel:
    """One drawing.

    Attributes:
        title: above it.
        svg: an SVG element, `Drawing.inline`.
        wide: another one for screens on which it fills the page; empty where `svg` does.
        note: below it, in words.
        by_time: whether arrow keys step through its marks from left to right, rather than in the
            order in which they were drawn.
    """

    title: str
    svg: str
    wide: str = ""
    note: str = ""
    by_time: bool = False


@dataclass(frozen=True, slots=True)
class Key:
    """An entry of a legend.

    Attributes:
        color: of what it is about.
        words: what that is.
        line: the style of CSS of a line, if it is one.
        mark: a character that looks like a mark, if it is one.
    """

    color: Color
    words: str
    line: str = ""
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Plot:
    """Panels that share a legend.

    Attributes:
        panels: from the first to the last.
        legend: what the colors stand for.
    """

    panels: tuple[Panel, ...]
    legend: tuple[Key, ...] = ()
