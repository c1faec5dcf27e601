"""Arrays of images or of other values as a data set: named, drawn by the seed, resized."""

from __future__ import annotations

import numpy as np

from pipeline.core.errors import UsageError
from pipeline.data.images import Dataset, ImageSet
from pipeline.data.label_maps import classes_in
from pipeline.data.normalization import Normalization
from pipeline.data.tensors import Standardization
from pipeline.settings import IdxData, NpzData


def arrays_as_dataset(
    train: ImageSet, test: ImageSet, settings: IdxData | NpzData, seed: int
) -> Dataset:
    """What a source of arrays gives, by what its table says.

    Args:
        train: all images that train.
        test: all images that test, of the same shape.
        settings: how many of them are used, their size, and the names of their labels.
        seed: draws which.

    Raises:
        UsageError: the table names fewer labels than there are.
    """
    classes = max(classes_in(train.labels), classes_in(test.labels))
    names = settings.labels or tuple(str(label) for label in range(classes))
    if len(names) < classes:
        raise UsageError(
            f"data.labels names {len(names)} labels, but {settings.path} uses {classes}",
            "name every label, or leave data.labels out",
        )
    train = train.shuffled(seed, settings.train_images)
    test = test.shuffled(seed + 1, settings.test_images)
    if train.images.dtype != np.uint8:
        rule = Standardization(settings.mean or (), settings.std or ())
        return Dataset(train, test, names, rule, stated_by="profile")
    train, test = (part.resized(settings.image_size) for part in (train, test))
    return Dataset(train, test, names, Normalization.of(train.images))
