"""Images and labels as NumPy's savez writes them, of which nothing is ever unpickled."""

from __future__ import annotations

import math
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from pipeline.core.atomic_files import sha256_of
from pipeline.core.errors import UsageError
from pipeline.data.arrays import arrays_as_dataset
from pipeline.data.images import Dataset, ImageSet
from pipeline.settings import NpzData

#: Predictions are kept in 16 bits.
_MOST_LABEL = 2**16 - 1
_AGAIN = "write it again: numpy.savez(FILE, x_train=..., y_train=..., x_test=..., y_test=...)"


def load_npz(settings: NpzData, seed: int) -> Dataset:
    """The data set in an .npz file.

    Raises:
        UsageError: the file is damaged, an array is missing or of another kind, or arrays do not
            fit together; the array is named.
    """
    path = settings.path
    try:
        with zipfile.ZipFile(path) as archive:
            train = _pair(archive, settings, settings.train_inputs, settings.train_labels)
            test = _pair(archive, settings, settings.test_inputs, settings.test_labels)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise UsageError(f"{path}: not a whole .npz file: {error}", _AGAIN) from None
    if train.images.shape[1:] != test.images.shape[1:]:
        raise UsageError(
            f"{path}: images are {list(train.images.shape[1:])} in {settings.train_inputs} and "
            f"{list(test.images.shape[1:])} in {settings.test_inputs} (height, width, channels)",
            "both have to be of one shape",
        )
    return arrays_as_dataset(train, test, settings, seed)


def npz_fingerprint(settings: NpzData) -> str:
    """Names the bytes that `load_npz` would read: the sha256 of the file as it lies on disk."""
    return f"sha256:{sha256_of(settings.path)}"


def _pair(archive: zipfile.ZipFile, settings: NpzData, inputs: str, labels: str) -> ImageSet:
    """Images and labels by the names of their arrays."""
    path = settings.path
    images, numbers = _array(archive, path, inputs), _array(archive, path, labels)
    if images.dtype != np.uint8:
        raise UsageError(
            f"{path}: {inputs} holds {images.dtype} {list(images.shape)}: only images of uint8 are "
            "taken so far",
            "give images as pixels from 0 to 255; mean and std in [data] bring them to the scale "
            "that a model was trained on",
        )
    if images.ndim == 3:
        images = images[..., np.newaxis]
    if images.ndim != 4 or 0 in images.shape:
        raise UsageError(
            f"{path}: {inputs} is {list(images.shape)}",
            "give [n, height, width] or [n, height, width, channels]",
        )
    if numbers.ndim == 2 and numbers.shape[1] == 1:  # a column, as MedMNIST and CIFAR have them
        numbers = numbers[:, 0]
    if not np.issubdtype(numbers.dtype, np.integer) or numbers.ndim != 1:
        raise UsageError(
            f"{path}: {labels} holds {numbers.dtype} {list(numbers.shape)}",
            "give one whole number for each image, [n]",
        )
    if len(numbers) != len(images):
        raise UsageError(
            f"{path}: {len(images)} images in {inputs}, but {len(numbers)} labels in {labels}",
            "give one label for each image",
        )
    if numbers.min() < 0 or numbers.max() > _MOST_LABEL:
        raise UsageError(
            f"{path}: {labels} goes from {numbers.min()} to {numbers.max()}",
            f"number labels from 0, to at most {_MOST_LABEL}",
        )
    return ImageSet(images, numbers.astype(np.int64))


def _array(archive: zipfile.ZipFile, path: Path, name: str) -> npt.NDArray[Any]:
    """An array of a file; what its header promises is held against its size before any is read."""
    try:
        info = archive.getinfo(f"{name}.npy")
    except KeyError:
        found = ", ".join(sorted(each.removesuffix(".npy") for each in archive.namelist()))
        raise UsageError(
            f"{path}: there is no array {name!r} in it",
            f"name the arrays in [data]: train_inputs and the like; there are: {found or 'none'}",
        ) from None
    with archive.open(info) as file:
        try:
            shape, ordered, kind = _header(file)
        except (ValueError, EOFError, SyntaxError) as error:
            raise UsageError(f"{path}: {name} is no NumPy array: {error}", _AGAIN) from None
        if kind.hasobject:
            raise UsageError(
                f"{path}: {name} holds Python objects, which reading would run code for",
                "save it as numbers: .astype(...), and rows of one length",
            )
        size = math.prod(shape) * kind.itemsize
        if file.tell() + size != info.file_size:
            raise UsageError(
                f"{path}: {name} promises {size} bytes, {info.file_size - file.tell()} are there",
                _AGAIN,
            )
        values = np.frombuffer(file.read(), dtype=kind)
    return values.reshape(shape[::-1]).T if ordered else values.reshape(shape)


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether columns come first, and type of the values."""
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(file)
    if version == (2, 0):
        return np.lib.format.read_array_header_2_0(file)
    raise ValueError(f"format {version} is not known")
