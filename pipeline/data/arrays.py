"""Arrays of images as a data set: named, drawn by the seed, resized."""

from __future__ import annotations

from pipeline.core.errors import UsageError
from pipeline.data.images import Dataset, ImageSet
from pipeline.data.normalization import Normalization
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
    classes = int(max(train.labels.max(), test.labels.max())) + 1
    names = settings.labels or tuple(str(label) for label in range(classes))
    if len(names) < classes:
        raise UsageError(
            f"data.labels names {len(names)} labels, but {settings.path} uses {classes}",
            "name every label, or leave data.labels out",
        )
    train = train.shuffled(seed, settings.train_images).resized(settings.image_size)
    test = test.shuffled(seed + 1, settings.test_images).resized(settings.image_size)
    return Dataset(train, test, names, Normalization.of(train.images))
