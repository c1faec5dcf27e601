"""A model as a checkpoint or a function gives it, before any data is looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.data.images import ImageSpec
from pipeline.model.pwl import PwlModel
from pipeline.model.route import Route


@dataclass(frozen=True, slots=True)
class OpenedModel:
    """A model in eval mode, and what is known of it without data.

    Attributes:
        model: with its weights.
        spec: the images that it takes; with a normalization only where that is stated.
        classes: number of logits.
        routes: that it is meant for.
        labels: names of the classes, in the order of the logits; none where they are not known.
        map_size: height and width of its logits, where there are some for each pixel.
    """

    model: PwlModel
    spec: ImageSpec
    classes: int
    routes: Sequence[Route]
    labels: tuple[str, ...] = ()
    map_size: tuple[int, ...] = ()
