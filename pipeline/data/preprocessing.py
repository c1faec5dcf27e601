"""What was done to images before a model saw them, and what an app has to repeat."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from pipeline.core.toml_file import SparseSection
from pipeline.settings import DataSettings, DigitsData, EncodedData, Resizing

if TYPE_CHECKING:  # manifests hold it, and are read without torch
    from pipeline.data.images import Dataset


_FILTERS: dict[str, Literal["bilinear-antialiased", "bicubic-antialiased"]] = {
    "bilinear": "bilinear-antialiased",
    "bicubic": "bicubic-antialiased",
}


class Preprocessing(SparseSection):
    """The steps before ``(pixel / 255 - mean) / std``, in the order of the attributes.

    Attributes:
        orientation: ``upright``: images are turned as their EXIF orientation says; ``as-is``: the
            data has none.
        color_space: ``sRGB``: other color spaces are converted, by the ICC profile; ``as-is``: the
            data does not say.
        background: transparent images are composited on this color, ``#rrggbb``; None where the
            data has no transparency.
        color_order: of the channels in memory; ``gray``: one channel, of RGB the ITU-R 601-2 luma
            (299 R + 587 G + 114 B) / 1000; ``as-is``: any other.
        resize: ``stretch``: to a square, whatever the image's own shape; ``shortest-edge``: in its
            own shape, the longer side rounded down; ``none``: images have to be of height and width
            already.
        resize_size: the side of the square, or the shorter side, in pixels; None where nothing is
            resized, or stretched to height and width.
        filter: over all pixels that one of a shrunken image covers (antialiased), as in Pillow;
            None where nothing is resized.
        crop: ``center``: height and width are cut out of the middle, its top and left rounded down;
            ``none``: nothing is cut off.
        height, width: of what a model reads, in pixels.
        scale: pixels are divided by this, so that 0 to 255 become 0 to 1.
        normalized_by: who states mean and std: the ``profile``, the ``model``'s source, or
            nobody: then they are computed from the ``training-images``.
        training_images: how many; None where they are stated.
    """

    orientation: Literal["upright", "as-is"]
    color_space: Literal["sRGB", "as-is"]
    background: Annotated[str, Field(pattern="^#[0-9a-f]{6}$")] | None
    color_order: Literal["RGB", "gray", "as-is"]
    resize: Literal["stretch", "shortest-edge", "none"]
    resize_size: Annotated[int, Field(ge=1)] | None = None
    filter: Literal["bilinear-antialiased", "bicubic-antialiased"] | None
    crop: Literal["center", "none"]
    height: Annotated[int, Field(ge=1)]
    width: Annotated[int, Field(ge=1)]
    scale: Literal[255]
    normalized_by: Literal["profile", "model", "training-images"]
    training_images: Annotated[int, Field(ge=1)] | None

    @classmethod
    def of(cls, settings: DataSettings, dataset: Dataset) -> Preprocessing:
        """What a ``[data]`` table has done to the images of a data set."""
        channels, height, width = dataset.image_shape
        encoded = settings if isinstance(settings, EncodedData) else None
        resizing = resizing_in(settings)
        kept = 0 if dataset.held_out is None else len(dataset.held_out)
        orders: dict[int, Literal["RGB", "gray"]] = {1: "gray", 3: "RGB"}
        return cls(
            orientation="upright" if encoded else "as-is",
            color_space="sRGB" if encoded else "as-is",
            background=encoded.background if encoded else None,
            color_order=orders.get(channels, "as-is"),
            resize=resizing.resize if resizing else "none",
            resize_size=resizing.to if resizing and resizing.crops else None,
            filter=_FILTERS[resizing.filter] if resizing else None,
            crop="center" if resizing and resizing.crops else "none",
            height=height,
            width=width,
            scale=255,
            normalized_by=dataset.stated_by or "training-images",
            training_images=None if dataset.stated_by else len(dataset.train) + kept,
        )

    def __str__(self) -> str:
        steps = ["upright (EXIF)"] if self.orientation == "upright" else []
        steps += ["sRGB"] if self.color_space == "sRGB" else []
        steps += [f"on {self.background}"] if self.background else []
        steps += [f"channels {self.color_order}"]
        size = f"{self.width}x{self.height}"
        steps += [self._resized() if self.filter else f"{size} already"]
        steps += [f"{size} cut out of the middle"] if self.crop == "center" else []
        return ", ".join([*steps, "/ 255"])

    def _resized(self) -> str:
        filtered = str(self.filter).partition("-")[0]
        if self.resize == "shortest-edge":
            return f"shorter side to {self.resize_size}, {filtered}"
        width, height = (self.resize_size or side for side in (self.width, self.height))
        return f"stretched to {width}x{height}, {filtered}"

    @property
    def origin(self) -> str:
        """Where mean and std come from, in words."""
        if self.normalized_by == "training-images":
            return f"computed from {self.training_images:,} training images"
        return {"profile": "stated by the profile", "model": "stated by the model's source"}[
            self.normalized_by
        ]


def resizing_in(settings: DataSettings) -> Resizing | None:
    """How a ``[data]`` table has images resized, if it has."""
    if isinstance(settings, EncodedData):
        return settings.resizing
    size = settings.image_size
    if size is None or (isinstance(settings, DigitsData) and size == 8):
        return None
    return Resizing(size, "stretch", size, "bilinear")
