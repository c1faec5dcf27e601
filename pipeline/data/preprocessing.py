"""What was done to images before a model saw them, and what an app has to repeat."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from pipeline.core.toml_file import Section
from pipeline.settings import DataSettings, DigitsData, EncodedData

if TYPE_CHECKING:  # manifests hold it, and are read without torch
    from pipeline.data.images import Dataset


class Preprocessing(Section):
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
        crop: nothing is cut off.
        resize: ``stretch``: to height and width, whatever the image's own shape; ``none``: images
            have to be of this size already.
        filter: bilinear, over all pixels that one of a shrunken image covers (antialiased), as in
            Pillow; None where nothing is resized.
        height, width: in pixels.
        scale: pixels are divided by this, so that 0 to 255 become 0 to 1.
        normalized_by: who states mean and std: the ``profile``, the ``model``'s source, or
            nobody: then they are computed from the ``training-images``.
        training_images: how many; None where they are stated.
    """

    orientation: Literal["upright", "as-is"]
    color_space: Literal["sRGB", "as-is"]
    background: Annotated[str, Field(pattern="^#[0-9a-f]{6}$")] | None
    color_order: Literal["RGB", "gray", "as-is"]
    crop: Literal["none"]
    resize: Literal["stretch", "none"]
    filter: Literal["bilinear-antialiased"] | None
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
        resized = settings.image_size is not None and not (
            isinstance(settings, DigitsData) and settings.image_size == 8
        )
        kept = 0 if dataset.held_out is None else len(dataset.held_out)
        orders: dict[int, Literal["RGB", "gray"]] = {1: "gray", 3: "RGB"}
        return cls(
            orientation="upright" if encoded else "as-is",
            color_space="sRGB" if encoded else "as-is",
            background=encoded.background if encoded else None,
            color_order=orders.get(channels, "as-is"),
            crop="none",
            resize="stretch" if resized else "none",
            filter="bilinear-antialiased" if resized else None,
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
        steps += [f"stretched to {size}, bilinear" if self.filter else f"{size} already", "/ 255"]
        return ", ".join(steps)

    @property
    def origin(self) -> str:
        """Where mean and std come from, in words."""
        if self.normalized_by == "training-images":
            return f"computed from {self.training_images:,} training images"
        return {"profile": "stated by the profile", "model": "stated by the model's source"}[
            self.normalized_by
        ]
