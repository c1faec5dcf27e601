"""Inputs and labels as NumPy's savez writes them, of which nothing is ever unpickled."""

from __future__ import annotations

import math
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from pipeline.core.atomic_files import sha256_of
from pipeline.core.errors import UsageError
from pipeline.core.nearest_name import nearest_name
from pipeline.data.arrays import arrays_as_dataset
from pipeline.data.images import MOST_LABEL, Dataset, ImageSet
from pipeline.data.label_maps import Labels, label_maps
from pipeline.settings import NpzData, TaskSettings

#: Tokens are floats at the edge of a program, which hold so many whole numbers exactly.
_MOST_TOKENS = 2**24
#: How many channels images have as people know them: gray, with opacity, color, and both.
_COLORS = (1, 2, 3, 4)
_AGAIN = "write it again: numpy.savez(FILE, x_train=..., y_train=..., x_test=..., y_test=...)"


def load_npz(
    settings: NpzData,
    seed: int,
    task: TaskSettings = TaskSettings(),  # noqa: B008 (it is immutable)
) -> Dataset:
    """The data set in an .npz file, its labels those of the task.

    Raises:
        UsageError: the file is damaged, an array is missing or of another kind, or arrays do not
            fit together; the array is named.
    """
    path = settings.path
    try:
        with zipfile.ZipFile(path) as archive:
            train, test = (
                _pair(archive, settings.path, names, task)
                for names in (
                    (settings.train_inputs, settings.train_labels),
                    (settings.test_inputs, settings.test_labels),
                )
            )
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise UsageError(f"{path}: not a whole .npz file: {error}", _AGAIN) from None
    if train.images.shape[1:] != test.images.shape[1:]:
        raise UsageError(
            f"{path}: one input is {list(train.images.shape[1:])} in {settings.train_inputs} and "
            f"{list(test.images.shape[1:])} in {settings.test_inputs}",
            "both have to be of one shape",
        )
    if train.labels.shape[1:] != test.labels.shape[1:]:
        raise UsageError(
            f"{path}: one label map is {list(train.labels.shape[1:])} in {settings.train_labels} "
            f"and {list(test.labels.shape[1:])} in {settings.test_labels}",
            "both have to be of one size",
        )
    if train.images.dtype != test.images.dtype:
        raise UsageError(
            f"{path}: {settings.train_inputs} holds {train.images.dtype} and "
            f"{settings.test_inputs} {test.images.dtype}",
            "give both in one type",
        )
    _require_rule(settings, train)
    if train.images.dtype == np.int64:
        vocabulary = _vocabulary(settings, train, test)
        train, test = (ImageSet(p.images.astype(np.float32), p.labels) for p in (train, test))
        return replace(arrays_as_dataset(train, test, settings, seed), vocabulary=vocabulary)
    if settings.vocabulary is not None:
        raise UsageError(
            f"{path}: {settings.train_inputs} holds {train.images.dtype}, no tokens",
            "leave data.vocabulary out, or give tokens as int64",
        )
    return arrays_as_dataset(train, test, settings, seed)


def npz_fingerprint(settings: NpzData) -> str:
    """Names the bytes that `load_npz` would read: the sha256 of the file as it lies on disk."""
    return f"sha256:{sha256_of(settings.path)}"


def _pair(
    archive: zipfile.ZipFile, path: Path, names: tuple[str, str], task: TaskSettings
) -> ImageSet:
    """Inputs and labels by the names of their arrays."""
    inputs, labels = names
    images = _inputs(_array(archive, path, inputs), f"{path}: {inputs}")
    if task.kind == "embedding":  # what they are to be is the teacher's to say
        return ImageSet(images, np.zeros(len(images), np.int64))
    numbers = _array(archive, path, labels)
    if task.kind == "dense":
        numbers = label_maps(numbers, f"{path}: {labels}", task.ignore_index)
    else:
        numbers = _one_each(numbers, f"{path}: {labels}")
    if len(numbers) != len(images):
        raise UsageError(
            f"{path}: {len(images)} inputs in {inputs}, but {len(numbers)} labels in {labels}",
            "give one label for each input",
        )
    return ImageSet(images, numbers)


def _one_each(numbers: npt.NDArray[Any], where: str) -> Labels:
    """A label for each input, int64 ``[n]``."""
    if numbers.ndim == 2 and numbers.shape[1] == 1:  # a column, as MedMNIST and CIFAR have them
        numbers = numbers[:, 0]
    if not np.issubdtype(numbers.dtype, np.integer) or numbers.ndim != 1:
        raise UsageError(
            f"{where} holds {numbers.dtype} {list(numbers.shape)}",
            f"give one whole number for each input, [n]{_as_labels(numbers)}",
        )
    if not len(numbers):
        raise UsageError(f"{where} is [0]: it holds no label", "save some in it")
    if numbers.min() < 0 or numbers.max() > MOST_LABEL:
        raise UsageError(
            f"{where} goes from {numbers.min()} to {numbers.max()}",
            f"number labels from 0, to at most {MOST_LABEL}",
        )
    return numbers.astype(np.int64)


def _as_labels(numbers: npt.NDArray[Any]) -> str:
    """How labels are made of what was given instead, for a remedy."""
    if numbers.ndim == 3:
        return '; one for each pixel, [n, height, width], is kind = "dense" in [task]'
    if numbers.ndim == 2:
        return "; of one column for each class: y.argmax(axis=1)"
    if numbers.ndim == 1 and numbers.dtype.kind in "SU":
        return ": numpy.unique(y, return_inverse=True)[1], and the names as data.labels"
    return ": y.astype('int64')" if numbers.ndim == 1 and numbers.dtype.kind in "fb" else ""


def _inputs(values: npt.NDArray[Any], where: str) -> npt.NDArray[Any]:
    """An array as what its type says that it is."""
    if values.dtype == np.uint8:
        return _images(values, where)
    if values.dtype.kind in "iu" and values.dtype.itemsize >= 4:
        return _tokens(values, where)
    return _tensors(values, where)


def _images(images: npt.NDArray[Any], where: str) -> npt.NDArray[np.uint8]:
    """Images ``[n, height, width, channels]``."""
    if images.ndim == 3:
        images = images[..., np.newaxis]
    if images.ndim != 4 or 0 in images.shape:
        raise UsageError(
            f"{where} is uint8 {list(images.shape)}",
            "give images as [n, height, width] or [n, height, width, channels]; values that are no "
            "pixels as float32: .astype('float32')",
        )
    _, height, _, channels = images.shape
    if height in _COLORS and channels not in _COLORS:
        raise UsageError(
            f"{where} is uint8 {list(images.shape)}: images of {channels} channels, {height} "
            "pixels high, or their channels come first",
            f"put channels last: x.transpose(0, 2, 3, 1) gives [n, height, width, {height}]",
        )
    return images


def _tensors(values: npt.NDArray[Any], where: str) -> npt.NDArray[np.float32]:
    """Values of any other kind, float32 ``[n, ...]``."""
    if values.dtype.kind != "f" or values.dtype.itemsize not in (4, 8):
        raise UsageError(
            f"{where} holds {values.dtype} {list(values.shape)}: inputs are images of uint8, "
            "values of float32 or float64, or tokens of int32 or int64",
            "convert it where it is saved, such as .astype('float32'); 16-bit sound divided by "
            "32768",
        )
    _require_inputs(values, where)
    with np.errstate(over="ignore"):
        found = values.astype(np.float32)
    if bad := int((~np.isfinite(found)).reshape(len(found), -1).any(axis=1).sum()):
        raise UsageError(
            f"{where}: {bad} of {len(found)} inputs hold NaN, infinity or more than float32 can",
            "leave them out, or fill them in: numpy.nan_to_num(x)",
        )
    return found


def _tokens(values: npt.NDArray[Any], where: str) -> npt.NDArray[np.int64]:
    """Tokens, int64 ``[n, ...]``, which float32 holds exactly."""
    _require_inputs(values, where)
    if values.min() < 0 or values.max() >= _MOST_TOKENS:
        raise UsageError(
            f"{where}: tokens go from {values.min()} to {values.max()}",
            f"number them from 0, to less than {_MOST_TOKENS}; give padding a number of its own",
        )
    return values.astype(np.int64)


def _vocabulary(settings: NpzData, *parts: ImageSet) -> int:
    """How many different tokens there are."""
    used = max(int(part.images.max()) for part in parts) + 1
    if settings.vocabulary is not None and settings.vocabulary < used:
        raise UsageError(
            f"data.vocabulary = {settings.vocabulary}, but {settings.path} has tokens up to "
            f"{used - 1}",
            f"make it {used} or more, or leave it out",
        )
    return settings.vocabulary or used


def _require_inputs(values: npt.NDArray[Any], where: str) -> None:
    if values.ndim > 0 and len(values) == 0:
        raise UsageError(f"{where} is {list(values.shape)}: it holds no input", "save some in it")
    if values.ndim == 1:
        raise UsageError(f"{where} is {list(values.shape)}", "give [n, 1]: x[:, None]")
    if values.ndim < 2 or 0 in values.shape:
        raise UsageError(
            f"{where} is {list(values.shape)}",
            "give [n, features], [n, channels, time] or any [n, ...] that the networks take",
        )


def _require_rule(settings: NpzData, inputs: ImageSet) -> None:
    """Makes sure that what ``[data]`` says of inputs can be done with them."""
    where, mean = f"{settings.path}: {settings.train_inputs}", settings.mean or ()
    shape = list(inputs.images.shape)
    if inputs.images.dtype == np.uint8:
        try:
            _ = settings.normalization
        except ValidationError as error:
            message = str(error.errors()[0]["msg"]).removeprefix("Value error, ")
            raise UsageError(
                f"{where} holds images, and in [data]: {message}", "correct mean and std"
            ) from None
        return
    kind = f"{inputs.images.dtype} {shape}"
    if settings.image_size is not None:
        raise UsageError(
            f"{where} holds {kind}, no images: image_size does not resize them",
            "leave data.image_size out",
        )
    if mean and inputs.images.dtype == np.int64:
        raise UsageError(
            f"{where} holds {kind}: mean and std are none of tokens", "leave them out of [data]"
        )
    if len(mean) not in (0, 1, shape[1]):
        raise UsageError(
            f"{where} holds {kind}, but mean and std have {len(mean)} values",
            f"give one for all, or {shape[1]}: one for each entry of the first axis behind n",
        )


def _array(archive: zipfile.ZipFile, path: Path, name: str) -> npt.NDArray[Any]:
    """An array of a file; what its header promises is held against its size before any is read."""
    try:
        info = archive.getinfo(f"{name}.npy")
    except KeyError:
        found = sorted(each.removesuffix(".npy") for each in archive.namelist())
        near = nearest_name(name, found)
        raise UsageError(
            f"{path}: there is no array {name!r} in it"
            + (f"; did you mean {near!r}?" if near else ""),
            "name the arrays in [data]: train_inputs and the like; there are: "
            + (", ".join(found) or "none"),
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
