"""The ``[data]`` table: where images and labels come from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from pipeline.section import Section
from pipeline.settings.quantities import Count, Side


class DigitsData(Section):
    """scikit-learn's 1,797 real 8x8 scans of handwritten digits."""

    source: Literal["digits"]
    image_size: Side = 8
    test_images: Annotated[int, Field(ge=1, le=1600)] = 597


class IdxData(Section):
    """A folder of the four IDX files that MNIST and its relatives are published as.

    Each file may be gzipped. `train_images` and `test_images` bound how many are used; the first
    ones of a shuffle by the profile's seed are taken, so that a bound keeps the classes mixed.
    """

    source: Literal["idx"]
    path: Path
    image_size: Side | None = None
    train_images: Count | None = None
    test_images: Count | None = None
    labels: tuple[str, ...] | None = None


class EncodedData(Section):
    """What the sources of PNG and JPEG images share.

    Attributes:
        image_size: every image is resized to this many pixels square; needed where sizes differ.
        channels: 3 for colour, 1 for grey; images are converted.
        train_images, test_images: bounds, as in `IdxData`.
    """

    image_size: Side | None = None
    channels: Literal[1, 3] = 3
    train_images: Count | None = None
    test_images: Count | None = None


class FolderData(EncodedData):
    """Images in ``train/LABEL/`` and ``test/LABEL/``; the folders' names are the labels."""

    source: Literal["images"]
    path: Path


class ParquetData(EncodedData):
    """A folder of ``train-*.parquet`` and ``test-*.parquet``, as Hugging Face publishes them.

    The image column holds encoded bytes, plain or as ``{"bytes": ...}``; the label column integers.
    """

    source: Literal["parquet"]
    path: Path
    image_column: str = "image"
    label_column: str = "label"
    labels: tuple[str, ...] | None = None


class HuggingFaceData(EncodedData):
    """A data set of the Hugging Face Hub, fetched and kept by the `datasets` library.

    With a `revision` that is a whole commit hash, a build needs the network once only.
    """

    source: Literal["huggingface"]
    name: str
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
