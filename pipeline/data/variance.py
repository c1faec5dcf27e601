"""Whether images differ at all: without a difference there is nothing to learn or to measure."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pipeline.core.errors import UsageError
from pipeline.data.images import Dataset
from pipeline.data.normalization import Values
from pipeline.settings import DataSettings, EncodedData

#: Images that are compared at once; most data sets differ among the first ones.
_CHUNK = 256


def require_variance(dataset: Dataset, settings: DataSettings) -> Dataset:
    """The same data, with a note on each channel that is constant in all training images.

    Raises:
        UsageError: all training images are the same image, or all test images are.
    """
    for name, part in (("training", dataset.train), ("test", dataset.test)):
        if len(part) > 1 and not differ(part.images, part.images[0]):
            raise UsageError(
                f"data.source = {settings.source!r}: all {len(part):,} {name} images are the same, "
                f"{_content(part.images[0])}",
                _remedy(settings),
            )
    if dataset.tensors:
        return dataset
    images, channels = dataset.train.images, dataset.image_shape[0]
    notes = tuple(
        f"channel {channel} of {channels} is {images[0, 0, 0, channel]} everywhere in the training "
        "images: it says nothing, and is not scaled"
        for channel in range(channels)
        if not differ(images[..., channel], images[0, 0, 0, channel])
    )
    return replace(dataset, notes=dataset.notes + notes)


def differ(images: Values, other: Values | np.uint8 | np.float32) -> bool:
    """Whether some image of ``[n, ...]`` is unlike `other`, an image or a value."""
    return any(
        bool((images[start : start + _CHUNK] != other).any())
        for start in range(0, len(images), _CHUNK)
    )


def _content(image: Values) -> str:
    if image.min() == image.max():
        return f"every value of them {image.flat[0]}"
    return "pixel for pixel" if image.dtype == np.uint8 else "value for value"


def _remedy(settings: DataSettings) -> str:
    if isinstance(settings, EncodedData):
        return (
            "look at them; where their shapes are in the transparency alone, set data.background "
            f"to a color unlike theirs (it is {settings.background!r})"
        )
    return "look at the files that data.path names" if hasattr(settings, "path") else "report it"
