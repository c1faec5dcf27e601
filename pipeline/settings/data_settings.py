"""The ``[data]`` table: where images and labels come from."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, model_validator

from pipeline.core.toml_file import InputPath, Section
from pipeline.settings.normalization_settings import (
    Means,
    NormalizationSettings,
    StandardDeviations,
    require_pair,
)
from pipeline.settings.quantities import Count, Side
from pipeline.settings.resizing import Resizing

_COLORS = {"white": "#ffffff", "black": "#000000"}


def _color(value: object) -> object:
    """A color as ``#rrggbb``."""
    if isinstance(value, str):
        text = _COLORS.get(value.lower(), value.lower())
        if re.fullmatch("#[0-9a-f]{6}", text):
            return text
    parts = value if isinstance(value, list | tuple) else ()
    if len(parts) == 3 and all(type(part) is int and 0 <= part <= 255 for part in parts):
        return "#" + "".join(f"{part:02x}" for part in parts)
    raise ValueError('a color is "white", "black", "#rrggbb" or [red, green, blue] from 0 to 255')


def _each_once(names: tuple[str, ...]) -> tuple[str, ...]:
    known: dict[str, int] = {}
    for number, name in enumerate(names):
        if (first := known.setdefault(name, number)) < number:
            raise ValueError(
                f"labels {first} and {number} are both called {name!r}: give every label a name of "
                "its own"
            )
    return names


LabelNames = Annotated[tuple[str, ...], AfterValidator(_each_once)]
_Finite = Annotated[float, Field(allow_inf_nan=False)]
_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
BackgroundColor = Annotated[str, BeforeValidator(_color)]


class ImageData(Section):
    """What all sources share: how pixels become inputs, ``(pixel / 255 - mean) / std``.

    Attributes:
        mean: one value a channel, in units of the scale from 0 to 1 (0.485, not 123.675). Give it
            where the model was trained with it; without it, and where the model's source states
            none, mean and deviation of the training images are taken.
        std: the same; both or neither.
    """

    mean: Means | None = None
    std: StandardDeviations | None = None

    @model_validator(mode="after")
    def _both_or_neither(self) -> Self:
        require_pair(self.mean, self.std)
        return self

    @property
    def normalization(self) -> NormalizationSettings | None:
        """What the profile states, if it does."""
        if self.mean is None or self.std is None:
            return None
        return NormalizationSettings(mean=self.mean, std=self.std)


def _without_folders(name: str) -> str:
    """A data set's name; of an absolute path, which is a place on one machine, the last part."""
    return name.rpartition("/")[2] if name.startswith("/") else name


class DigitsData(ImageData):
    """scikit-learn's 1,797 real 8x8 scans of handwritten digits.

    Attributes:
        image_size: images are resized to this many pixels square.
        test_images: how many of them test; the others train.
    """

    source: Literal["digits"]
    image_size: Side = 8
    test_images: Annotated[int, Field(ge=1, le=1600)] = 597


class IdxData(ImageData):
    """A folder of the four IDX files that MNIST and its relatives are published as.

    Each file may be gzipped. `train_images` and `test_images` bound how many are used; the first
    ones of a shuffle by the profile's seed are taken, so that a bound keeps the classes mixed.

    Attributes:
        path: the folder; a relative one is looked for beside the profile, then in the current
            folder. The same holds for every other path of a profile.
        image_size: images are resized to this many pixels square; left as they are without it.
        train_images, test_images: use no more than so many.
        labels: names of the classes, in the order of their numbers; the numbers without it.
    """

    source: Literal["idx"]
    path: InputPath
    image_size: Side | None = None
    train_images: Count | None = None
    test_images: Count | None = None
    labels: LabelNames | None = None


class EncodedData(ImageData):
    """What the sources of PNG and JPEG images share.

    Images are turned upright as their EXIF orientation says, brought from their ICC profile's color
    space to sRGB, and of animated ones the first frame is taken. 16 bits of gray are refused.

    Attributes:
        image_size: every image is made this many pixels square; needed where sizes differ. Where
            none of the four keys about sizes is given, they are as the model's source states them,
            if it does, as ``transformers:`` and ``timm:`` may.
        resize: ``"stretch"``: to a square, whatever the image's own shape; ``"shortest-edge"``:
            in its own shape, the shorter side to `resize_size`.
        resize_size: images are resized to this many pixels, then `image_size` is cut out of the
            middle; `image_size` without it.
        filter: with which they are resized, as Pillow does, antialiased where they shrink.
        channels: 3 for color, 1 for gray; images are converted.
        background: what shows where an image is transparent: "white", "black", "#rrggbb" or
            [red, green, blue] from 0 to 255.
        train_images, test_images: use no more than so many, drawn by the profile's seed.
    """

    image_size: Side | None = None
    resize: Literal["stretch", "shortest-edge"] = "stretch"
    resize_size: Side | None = None
    filter: Literal["bilinear", "bicubic"] = "bilinear"
    channels: Literal[1, 3] = 3
    background: BackgroundColor = "#ffffff"
    train_images: Count | None = None
    test_images: Count | None = None

    @model_validator(mode="after")
    def _resizes_to_a_size(self) -> Self:
        if self.image_size is None:
            if self.resize_size is not None:
                raise ValueError("resize_size: give image_size, too: what is cut out of it")
        elif self.resize_size is not None and self.resize_size < self.image_size:
            raise ValueError(
                f"resize_size {self.resize_size} is less than image_size {self.image_size}: "
                "nothing so large can be cut out of it"
            )
        return self

    @property
    def resizing(self) -> Resizing | None:
        """How images are resized, if they are."""
        if self.image_size is None:
            return None
        to = self.resize_size or self.image_size
        return Resizing(self.image_size, self.resize, to, self.filter)


class FolderData(EncodedData):
    """Images in ``train/LABEL/`` and ``test/LABEL/``; the folders' names are the labels.

    Of a dense task they are in ``train/images/`` and ``test/images/``, and a label map of each
    image's name and size in ``train/labels/`` and ``test/labels/``: a PNG of 8-bit gray or with a
    palette, its values the numbers of classes. Where images are resized, maps are alike, but to
    the nearest pixel.

    Attributes:
        path: the folder of the two.
        labels: of a dense task: names of the classes, in the order of their numbers; the numbers
            without it.
    """

    source: Literal["images"]
    path: InputPath
    labels: LabelNames | None = None


class ParquetData(EncodedData):
    """A folder of ``train-*.parquet`` and ``test-*.parquet``, as Hugging Face publishes them.

    The image column holds encoded bytes, plain or as ``{"bytes": ...}``; the label column integers.

    Attributes:
        path: the folder of the files themselves.
        image_column, label_column: what these columns are called.
        labels: names of the classes, in the order of their numbers; those in the files without it.
    """

    source: Literal["parquet"]
    path: InputPath
    image_column: str = "image"
    label_column: str = "label"
    labels: LabelNames | None = None


class HuggingFaceData(EncodedData):
    """A data set of the Hugging Face Hub, fetched and kept by the `datasets` library.

    With a `revision` that is a whole commit hash, a build needs the network once only.

    Attributes:
        name: as on the hub, such as ``uoft-cs/cifar10``.
        subset: the configuration, where there are several.
        revision: a branch, tag or commit of the data set.
        train_split, test_split: what the splits are called.
        image_column, label_column: what the columns are called.
        labels: names of the classes, in the order of their numbers; those of the hub without it.
    """

    source: Literal["huggingface"]
    name: Annotated[str, PlainSerializer(_without_folders, when_used="json")]
    subset: str | None = None
    revision: str | None = None
    train_split: str = "train"
    test_split: str = "test"
    image_column: str = "image"
    label_column: str = "label"
    labels: LabelNames | None = None

    @model_validator(mode="after")
    def _splits_are_two(self) -> Self:
        if self.train_split == self.test_split:
            raise ValueError(
                f"train_split and test_split are both {self.train_split!r}: name another one, or "
                f"parts of one, {self.train_split}[:80%] and {self.train_split}[80%:]"
            )
        return self


class NpzData(ImageData):
    """One .npz file of NumPy arrays: inputs and labels, for training and for tests.

    Inputs of uint8 are images: ``[n, height, width]``, which is gray, or
    ``[n, height, width, channels]``. Those of float32 or float64 are tensors as the networks take
    them, of any shape behind the n: ``[n, features]``, ``[n, channels, time]``. Those of int32 or
    int64 are tokens, such as a text's ``[n, length]``. Labels are whole numbers from 0 on, ``[n]``
    or ``[n, 1]``. Nothing in the file is unpickled.

    Attributes:
        mean: of images as elsewhere: one value a channel, on the scale from 0 to 1. Of tensors one
            value, or one for each entry of the first axis behind the n, in their own unit:
            ``(value - mean) / std``; without it, values are taken as they are.
        std: the same; both or neither.
        path: the file.
        train_inputs, train_labels, test_inputs, test_labels: what its arrays are called.
        vocabulary: how many different tokens there are; one more than the largest without it.
        image_size: images are resized to this many pixels square; left as they are without it.
        train_images, test_images: use no more than so many inputs, drawn by the profile's seed.
        labels: names of the classes, in the order of their numbers; the numbers without it.
    """

    mean: Annotated[tuple[_Finite, ...], Field(min_length=1)] | None = None
    std: Annotated[tuple[_Positive, ...], Field(min_length=1)] | None = None
    source: Literal["npz"]
    path: InputPath
    train_inputs: str = "x_train"
    train_labels: str = "y_train"
    test_inputs: str = "x_test"
    test_labels: str = "y_test"
    vocabulary: Annotated[int, Field(ge=1, le=2**24)] | None = None
    image_size: Side | None = None
    train_images: Count | None = None
    test_images: Count | None = None
    labels: LabelNames | None = None

    @model_validator(mode="after")
    def _inputs_are_two(self) -> Self:
        if self.train_inputs == self.test_inputs:
            raise ValueError(
                f"train_inputs and test_inputs are both {self.train_inputs!r}: save some inputs "
                "apart, x_train=x[:n] and x_test=x[n:], and their labels alike"
            )
        return self


DataSettings = Annotated[
    DigitsData | IdxData | NpzData | FolderData | ParquetData | HuggingFaceData,
    Field(discriminator="source"),
]
