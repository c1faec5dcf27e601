"""The ``[data]`` table: where images and labels come from."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, PlainSerializer

from pipeline.section import InputPath, Section
from pipeline.settings.quantities import Count, Side


def _without_folders(name: str) -> str:
    """A data set's name; of an absolute path, which is a place on one machine, the last part."""
    return name.rpartition("/")[2] if name.startswith("/") else name


class DigitsData(Section):
    """scikit-learn's 1,797 real 8x8 scans of handwritten digits.

    Attributes:
        image_size: images are resized to this many pixels square.
        test_images: how many of them test; the others train.
    """

    source: Literal["digits"]
    image_size: Side = 8
    test_images: Annotated[int, Field(ge=1, le=1600)] = 597


class IdxData(Section):
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
    labels: tuple[str, ...] | None = None


class EncodedData(Section):
    """What the sources of PNG and JPEG images share.

    Attributes:
        image_size: every image is resized to this many pixels square; needed where sizes differ.
        channels: 3 for colour, 1 for grey; images are converted.
        train_images, test_images: use no more than so many, drawn by the profile's seed.
    """

    image_size: Side | None = None
    channels: Literal[1, 3] = 3
    train_images: Count | None = None
    test_images: Count | None = None


class FolderData(EncodedData):
    """Images in ``train/LABEL/`` and ``test/LABEL/``; the folders' names are the labels.

    Attributes:
        path: the folder of the two.
    """

    source: Literal["images"]
    path: InputPath


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
    labels: tuple[str, ...] | None = None


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
    labels: tuple[str, ...] | None = None


DataSettings = Annotated[
    DigitsData | IdxData | FolderData | ParquetData | HuggingFaceData,
    Field(discriminator="source"),
]
