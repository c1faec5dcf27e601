"""A profile with what its model's source states of the images. Quick to import."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.settings import LIBRARY_KINDS, EncodedData, Settings, SourceModel, load_settings

if TYPE_CHECKING:
    from pipeline.data.images import Dataset
    from pipeline.settings import Resizing

_KEYS = ("image_size", "resize", "resize_size", "filter")


def profile_settings(profile: Path) -> Settings:
    """The settings of a profile; where it does not say how images are resized, its model does.

    Args:
        profile: the TOML file.

    Raises:
        UsageError: it is wrong, or its model's source cannot be read.
    """
    settings = load_settings(profile)
    data = settings.data
    if not isinstance(data, EncodedData) or data.model_fields_set & {*_KEYS}:
        return settings
    if (stated := resizing_of(settings)) is None:
        return settings
    known = {
        "image_size": stated.image_size,
        "resize": stated.resize,
        "resize_size": stated.to,
        "filter": stated.filter,
    }
    return settings.model_copy(update={"data": data.model_copy(update=known)})


def resizing_of(settings: Settings) -> Resizing | None:
    """How the source of a profile's model has images resized, if it says.

    Raises:
        UsageError: it cannot be read, or says something that no app can repeat.
    """
    model = settings.model
    if not isinstance(model, SourceModel) or model.kind not in LIBRARY_KINDS:
        return None
    from pipeline.ingest.zoo.resized import resized_by

    return resized_by(model, settings.task.kind)


def noting_resizing(dataset: Dataset, settings: Settings) -> Dataset:
    """The data, with a note where its images are resized otherwise than the model's source states.

    Raises:
        UsageError: as `resizing_of`.
    """
    from pipeline.data.preprocessing import resizing_in

    stated, used = resizing_of(settings), resizing_in(settings.data)
    if stated is None or _agrees(used, stated, dataset):
        return dataset
    note = (
        f"images are {f'resized {used}' if used else 'taken in the size that they have'}, but "
        f"those that the model was trained on were resized {stated}: that may cost accuracy"
    )
    return replace(dataset, notes=(*dataset.notes, note))


def _agrees(used: Resizing | None, stated: Resizing, dataset: Dataset) -> bool:
    """Whether images are resized as stated, or were of that size before anybody saw them."""
    if used is None:
        return dataset.image_shape[1:] == (stated.image_size, stated.image_size)
    return used == stated
