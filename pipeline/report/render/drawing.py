"""Plots as SVG: each mark says its value, each color follows the page it is on.

A panel is 328 units wide, what a screen of 360 leaves between the margins: there its text is as
large as it was drawn. Panels stand side by side where there is room.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from pipeline.report.render.palette import INK, LINE, PALETTE, SOFT

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

#: In units of SVG, which are matplotlib's points.
PANEL_WIDTH = 328.0
TEXT = 11.0
SMALL = 10.0

_POINTS_PER_INCH = 72
#: Left, right, top and bottom, over the size of the text at the axes.
_MARGINS = (3.6, 1.0, 1.9, 3.4)
_BLACK = "#000000"
_HREF = "{http://www.w3.org/1999/xlink}href"
#: Within the value of an attribute named style.
_COLOR = re.compile(r"#[0-9a-f]{6}\b")


class Drawing:
    """A figure with one pair of axes, or for a file with several beside each other.

    Attributes:
        axes: from left to right.
    """

    def __init__(self, name: str, size: tuple[float, float], columns: int = 1, text: float = SMALL):
        """An empty one.

        Args:
            name: told apart from all others on its page.
            size: width and height, in units.
            columns: how many axes there are.
            text: size of what stands at the axes.
        """
        from matplotlib.figure import Figure

        self._name = name
        self._text = text
        self._annotations: dict[str, Sequence[str]] = {}
        self._figure = Figure(figsize=(size[0] / _POINTS_PER_INCH, size[1] / _POINTS_PER_INCH))
        self.axes: list[Axes] = list(self._figure.subplots(1, columns, squeeze=False)[0])
        if columns > 1:
            self._figure.set_layout_engine("constrained")
        else:  # known margins: nothing has to be drawn twice to find them
            self._margins(size)
        for axis in self.axes:
            axis.spines[["top", "right"]].set_visible(False)
            axis.spines[["bottom", "left"]].set_color(SOFT.light)
            axis.grid(axis="y", color=LINE.light, linewidth=0.6)
            axis.set_axisbelow(True)
            axis.tick_params(labelsize=text, color=SOFT.light)
            for each in (axis.xaxis, axis.yaxis):
                each.set_major_formatter("{x:g}")  # 0 rather than 0.000: it stands at an edge

    def _margins(self, size: tuple[float, float]) -> None:
        width, height = size
        left, right, top, bottom = (self._text * each for each in _MARGINS)
        self._figure.subplots_adjust(
            left=left / width, right=1 - right / width, top=1 - top / height, bottom=bottom / height
        )

    def label(self, x: str, y: str = "") -> None:
        """Says what the axes are; of the upright one above it, where it can be read."""
        for axis in self.axes:
            axis.set_xlabel(x, fontsize=self._text)
            axis.set_title(y, loc="left", fontsize=self._text, color=SOFT.light)

    def without_upright_axis(self) -> None:
        """For rows that are named elsewhere."""
        (axis,) = self.axes
        axis.set_yticks([])
        axis.spines["left"].set_visible(False)
        axis.grid(axis="y", visible=False)
        axis.grid(axis="x", color=LINE.light, linewidth=0.6)
        self._figure.subplots_adjust(left=0.035, top=0.99)

    def annotate(self, artist: Artist, *values: str) -> None:
        """Has an artist's marks say their values: one for each of its points, or one for all."""
        name = f"{self._name}-{len(self._annotations)}"
        artist.set_gid(name)
        self._annotations[name] = values

    def legend_below(self, columns: int) -> None:
        """One for all axes, in the drawing: for a file, which has no page around it."""
        handles, labels = self.axes[0].get_legend_handles_labels()
        self._figure.legend(
            handles,
            labels,
            loc="outside lower center",
            ncols=columns,
            fontsize=SMALL,
            frameon=False,
        )

    def file(self) -> str:
        """The text of an SVG file; the same drawing gives the same text."""
        return self._svg(transparent=False)

    def inline(self) -> str:
        """An SVG element for a page of HTML that has `drawing.css` and the colors of `palette`.

        A mark's value is its ``<title>``, which browsers show on hover, also without a script.
        """
        root = ElementTree.fromstring(self._svg(transparent=True))
        for parent in list(root.iter()):
            for child in list(parent):
                # A style in an SVG element is one of the whole page.
                if child.tag.endswith(("}metadata", "}style")):
                    parent.remove(child)
        self._title_marks(root)
        used = set(re.findall(r"#([\w-]+)", " ".join(_references(root))))
        for element in root.iter():
            element.tag = element.tag.rpartition("}")[2]
            if _HREF in element.attrib:
                element.set("href", element.attrib.pop(_HREF))
            if element.get("id") not in used:
                element.attrib.pop("id", None)
            if style := element.get("style"):
                element.set("style", _COLOR.sub(_property, style))
        root.attrib = {"viewBox": root.attrib["viewBox"]}
        return ElementTree.tostring(root, encoding="unicode", short_empty_elements=True)

    def _svg(self, transparent: bool) -> str:
        import matplotlib

        buffer = io.StringIO()
        # Fixed salt and no date: the same report gives the same picture.
        with matplotlib.rc_context({"svg.hashsalt": self._name, "svg.fonttype": "none"}):
            self._figure.savefig(
                buffer, format="svg", metadata={"Date": None}, transparent=transparent
            )
        text = buffer.getvalue()
        return text[text.index("<svg") :]

    def _title_marks(self, root: ElementTree.Element) -> None:
        """Gives every mark that says something its title."""
        groups = {element.get("id"): element for element in root.iter() if element.get("id")}
        for name, values in self._annotations.items():
            marks = [each for each in groups[name].iter() if each.tag.endswith("}use")]
            if len(values) == 1 and len(marks) != 1:
                marks = [groups[name]]
            for mark, value in zip(marks, values, strict=True):
                title = ElementTree.Element("title")
                title.text = value
                mark.insert(0, title)


def _references(root: ElementTree.Element) -> list[str]:
    """The values of attributes that may name another element."""
    return [
        value
        for element in root.iter()
        for name, value in element.attrib.items()
        if name == _HREF or value.startswith("url(")
    ]


def _property(color: re.Match[str]) -> str:
    """What stands for a color on a page. Raises KeyError if a dark page has none for it."""
    known = {each.light: each.css for each in PALETTE} | {_BLACK: INK.css}
    return known[color.group()]
