"""IDX files, plain or gzipped: the format of MNIST (yann.lecun.com/exdb/mnist) and its kin."""

from __future__ import annotations

import gzip
import hashlib
import struct
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline.core.errors import UsageError
from pipeline.data.arrays import arrays_as_dataset
from pipeline.data.images import Dataset, ImageSet
from pipeline.data.repeated import require_apart
from pipeline.settings import IdxData

_UNSIGNED_BYTE = 0x08
_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def load_idx(settings: IdxData, seed: int) -> Dataset:
    """The data set in a folder of four IDX files.

    Raises:
        UsageError: a file is missing, damaged, of another type, or does not fit its partner.
    """
    files = [_find(settings.path, name) for name in _FILES]
    require_apart(files[:1], files[2:3])
    images, labels, test_images, test_labels = (
        read_idx(file, dimensions=3 if "images" in file.name else 1) for file in files
    )
    train = _pair(settings.path, images, labels, "train")
    test = _pair(settings.path, test_images, test_labels, "t10k")
    if train.images.shape[1:] != test.images.shape[1:]:
        raise UsageError(
            f"{settings.path}: training images are {train.images.shape[1:3]} and test images "
            f"{test.images.shape[1:3]}",
            "both sets must come from the same data set",
        )
    return arrays_as_dataset(train, test, settings, seed)


def idx_fingerprint(settings: IdxData) -> str:
    """Names the bytes that `load_idx` would read: the sha256 of the files as they lie on disk."""
    digest = hashlib.sha256()
    for name in _FILES:
        with _find(settings.path, name).open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return f"sha256:{digest.hexdigest()}"


def read_idx(path: Path, *, dimensions: int) -> npt.NDArray[np.uint8]:
    """One IDX file of unsigned bytes as an array.

    Raises:
        UsageError: the file is no IDX file of that many dimensions, or is cut short.
    """
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error}", "fetch the file again") from None
    except (EOFError, zlib.error) as error:
        raise UsageError(f"{path}: damaged gzip data: {error}", "fetch the file again") from None
    head = 4 + 4 * dimensions
    if len(data) < head or data[:4] != bytes((0, 0, _UNSIGNED_BYTE, dimensions)):
        raise UsageError(
            f"{path}: not an IDX file of unsigned bytes with {dimensions} dimension(s)",
            f"it should begin with 00 00 08 {dimensions:02x}, it begins with {data[:4].hex(' ')}",
        )
    shape = struct.unpack(f">{dimensions}I", data[4:head])
    expected = int(np.prod(shape, dtype=np.uint64))
    if len(data) - head != expected:
        raise UsageError(
            f"{path}: its header promises {expected} bytes of data, {len(data) - head} are there",
            "fetch the file again",
        )
    return np.frombuffer(data, dtype=np.uint8, offset=head).reshape(shape)


def _find(folder: Path, name: str) -> Path:
    for candidate in (folder / f"{name}.gz", folder / name):
        if candidate.is_file():
            return candidate
    raise UsageError(
        f"{folder}: neither {name} nor {name}.gz is there",
        "point data.path at a folder of the four IDX files; on Debian and Ubuntu, "
        "`apt-get install dataset-fashion-mnist` puts them in /usr/share/datasets/fashion-mnist",
    )


def _pair(
    folder: Path, images: npt.NDArray[np.uint8], labels: npt.NDArray[np.uint8], part: str
) -> ImageSet:
    if len(images) != len(labels) or not len(images):
        raise UsageError(
            f"{folder}: {len(images)} {part} images but {len(labels)} labels",
            "the files must come from the same data set",
        )
    return ImageSet(images[..., np.newaxis], labels.astype(np.int64))
