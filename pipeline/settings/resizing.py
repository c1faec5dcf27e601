"""How images of any size become those of one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Resizing:
    """How an image of any size becomes one of the size that a model takes.

    Attributes:
        image_size: height and width of what is cut out of the middle at last, in pixels.
        resize: ``stretch``: to a square; ``shortest-edge``: in its own shape.
        to: the side of the square, or the shorter side, in pixels; at least `image_size`.
        filter: Pillow's, antialiased where an image shrinks.
    """

    image_size: int
    resize: Literal["stretch", "shortest-edge"]
    to: int
    filter: Literal["bilinear", "bicubic"]

    def size_for(self, width: int, height: int) -> tuple[int, int]:
        """Width and height to which an image is resized, before anything is cut off."""
        if self.resize == "stretch":
            return self.to, self.to
        short = min(width, height)
        return self.to * width // short, self.to * height // short

    def __str__(self) -> str:
        how = "its shorter side to" if self.resize == "shortest-edge" else "to"
        cut = f", {self.image_size} cut out" if (self.crops) else ""
        return f"{how} {self.to} pixels, {self.filter}{cut}"

    @property
    def crops(self) -> bool:
        """Whether anything is cut off."""
        return self.resize == "shortest-edge" or self.to != self.image_size
