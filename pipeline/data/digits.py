"""scikit-learn's digits: 1,797 real 8x8 scans with 17 gray levels, installed with the library."""

from __future__ import annotations

from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.settings import DigitsData

if TYPE_CHECKING:  # imported where it is used: naming a data set must be quick
    import numpy as np
    import numpy.typing as npt

    from pipeline.data.images import Dataset

_LEVELS = 16  # a pixel counts the set bits of a 4x4 patch of the original scan
_FILE = "datasets/data/digits.csv.gz"  # of scikit-learn: a scan a line, its pixels and its digit


def load_digits(settings: DigitsData, seed: int) -> Dataset:
    """The data set, split by the seed."""
    import numpy as np

    from pipeline.data.images import Dataset, ImageSet
    from pipeline.data.normalization import Normalization

    scans, digits = _scans()
    images = np.round(scans * (255 / _LEVELS)).astype(np.uint8)[..., np.newaxis]
    everything = ImageSet(images, digits.astype(np.int64)).shuffled(seed)
    everything = everything.resized(settings.image_size)
    count = len(everything) - settings.test_images
    train = everything.first(count)
    test = ImageSet(everything.images[count:], everything.labels[count:])
    names = tuple(map(str, range(10)))
    return Dataset(train, test, names, Normalization.of(train.images))


def _scans() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The scans (1797, 8, 8) and their digits.

    From the library's file: importing the library takes a second of a processor.
    """
    spec = find_spec("sklearn")
    file = Path(spec.origin).parent / _FILE if spec and spec.origin else None
    if file is None or not file.exists():  # another release's
        from sklearn import datasets

        raw = datasets.load_digits()
        return raw.images, raw.target
    import numpy as np

    lines = np.loadtxt(file, delimiter=",")
    return lines[:, :-1].reshape(-1, 8, 8), lines[:, -1]


def digits_fingerprint(settings: DigitsData) -> str:
    """Names the bytes that `load_digits` would read."""
    return f"scikit-learn {version('scikit-learn')}"
