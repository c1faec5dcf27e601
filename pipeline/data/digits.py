"""scikit-learn's digits: 1,797 real 8x8 scans with 17 gray levels, installed with the library."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

from pipeline.settings import DigitsData

if TYPE_CHECKING:  # imported where it is used: naming a data set must be quick
    from pipeline.data.images import Dataset

_LEVELS = 16  # a pixel counts the set bits of a 4x4 patch of the original scan


def load_digits(settings: DigitsData, seed: int) -> Dataset:
    """The data set, split by the seed."""
    import numpy as np
    from sklearn import datasets

    from pipeline.data.images import Dataset, ImageSet
    from pipeline.data.normalization import Normalization

    raw = datasets.load_digits()
    images = np.round(raw.images * (255 / _LEVELS)).astype(np.uint8)[..., np.newaxis]
    everything = ImageSet(images, raw.target.astype(np.int64)).shuffled(seed)
    everything = everything.resized(settings.image_size)
    count = len(everything) - settings.test_images
    train = everything.first(count)
    test = ImageSet(everything.images[count:], everything.labels[count:])
    names = tuple(str(name) for name in raw.target_names)
    return Dataset(train, test, names, Normalization.of(train.images))


def digits_fingerprint(settings: DigitsData) -> str:
    """Names the bytes that `load_digits` would read."""
    return f"scikit-learn {version('scikit-learn')}"
