"""What a device counts in the label maps that it gives: maps themselves would be too much."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from pipeline.core.toml_file import Section

_Count = Annotated[int, Field(ge=0)]


class MapCounts(Section):
    """What of the label maps that a stage gives to the evaluation images is right.

    Attributes:
        stage: which one.
        right: by image, pixels that are given their label.
        labeled: by image, pixels that have one; no others are counted anywhere.
        differing: by image, pixels that the host gives another label.
        hits: by class, pixels that have it and are given it.
        given: by class, pixels that are given it.
        there: by class, pixels that have it.
        lost: images whose logits hold NaN or infinity, none of whose pixels are given a label.
    """

    stage: int
    right: Annotated[tuple[_Count, ...], Field(min_length=1)]
    labeled: tuple[Annotated[int, Field(ge=1)], ...]
    differing: tuple[_Count, ...]
    hits: Annotated[tuple[_Count, ...], Field(min_length=1)]
    given: tuple[_Count, ...]
    there: tuple[_Count, ...]
    lost: _Count

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        images, classes = len(self.right), len(self.hits)
        if {len(self.labeled), len(self.differing)} != {images}:
            raise ValueError("right, labeled and differing are of several numbers of images")
        if {len(self.given), len(self.there)} != {classes}:
            raise ValueError("hits, given and there are of several numbers of classes")
        if sum(self.right) != sum(self.hits) or sum(self.labeled) != sum(self.there):
            raise ValueError("images and classes have several numbers of pixels")
        return self
