"""The colors of pages and plots, each for a light and for a dark screen."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Color:
    """One color.

    Attributes:
        name: of the custom property of CSS that holds it.
        light: ``#rrggbb`` on a light ground; plots are drawn with it.
        dark: the same on a dark ground.
    """

    name: str
    light: str
    dark: str

    @property
    def css(self) -> str:
        """How a page refers to it."""
        return f"var(--{self.name})"


GROUND = Color("ground", "#ffffff", "#0d1117")
RAISED = Color("raised", "#f6f8fa", "#161b22")
INK = Color("ink", "#1f2328", "#e6edf3")
SOFT = Color("soft", "#59636e", "#9198a1")
LINE = Color("line", "#d0d7de", "#30363d")
SHADOW = Color("shadow", "#c3cad2", "#3b434d")
LINK = Color("link", "#0a5bc4", "#6cb6ff")
GOOD = Color("good", "#1a7f37", "#3fb950")
DOUBT = Color("doubt", "#8a6100", "#d29922")
BAD = Color("bad", "#cf222e", "#f85149")
#: Behind what happens while a block loads.
LOADING = Color("loading", "#ffecd6", "#3d2a17")
#: Told apart from each other on either ground, the progressive arm's first.
SERIES = (
    Color("series-0", "#1f6feb", "#58a6ff"),
    Color("series-1", "#2da44e", "#56d364"),
    Color("series-2", "#d1690e", "#f0883e"),
    Color("series-3", "#8250df", "#bc8cff"),
    Color("series-4", "#bf3989", "#f778ba"),
    Color("series-5", "#6e7781", "#8b949e"),
    Color("series-6", "#0598a3", "#39c5cf"),
    Color("series-7", "#8f6a00", "#e3b341"),
)
PALETTE = (GROUND, RAISED, INK, SOFT, LINE, SHADOW, LINK, GOOD, DOUBT, BAD, LOADING, *SERIES)


def properties(dark: bool) -> str:
    """The custom properties of all colors, as declarations of CSS."""
    values: Iterable[str] = (
        f"--{color.name}: {color.dark if dark else color.light};" for color in PALETTE
    )
    return " ".join(values)
