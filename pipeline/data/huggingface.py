"""Data sets of the Hugging Face Hub, through its `datasets` library, which is an optional extra."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.core.errors import UsageError
from pipeline.data.columns import encoded_set, label_names
from pipeline.data.encoded import EncodedSet, decode_dataset, decoder
from pipeline.data.images import Dataset
from pipeline.settings import HuggingFaceData

if TYPE_CHECKING:
    import pyarrow as pa

_COMMIT = re.compile("[0-9a-f]{40}")
_OFFLINE = 'where there is no network, fetch the Parquet files and use source = "parquet"'


def load_huggingface(settings: HuggingFaceData, seed: int) -> Dataset:
    """The data set of a name, fetched when it is not in the library's cache.

    Raises:
        UsageError: the library is not installed, the Hub cannot be reached or has no such data set,
            a column is missing, or an image is damaged or of another size.
    """
    train, test = (_split(settings, split) for split in (settings.train_split, settings.test_split))
    used = np.concatenate([train[0].labels, test[0].labels])
    names = label_names(settings, train[1], used, settings.name)
    return decode_dataset(train[0], test[0], names, settings, seed)


def huggingface_fingerprint(settings: HuggingFaceData) -> str:
    """Names the bytes that `load_huggingface` would decode.

    A whole commit hash does so by itself; else every image and label is hashed, which fetches them.
    """
    if settings.revision and _COMMIT.fullmatch(settings.revision):
        return f"{settings.name}@{settings.revision} {decoder()}"
    digest = hashlib.sha256(decoder().encode())
    for split in (settings.train_split, settings.test_split):
        images, _ = _split(settings, split)
        digest.update(f"\n{split} {len(images)}\n".encode())
        digest.update(images.labels.tobytes())
        for index in range(len(images)):
            digest.update(hashlib.sha256(images.fetch(index).data).digest())
    return f"sha256:{digest.hexdigest()}"


def _split(settings: HuggingFaceData, split: str) -> tuple[EncodedSet, tuple[str, ...] | None]:
    """The images of a split, and the names of its labels where the data set gives any."""
    table, features = _fetch(settings, split)
    names = getattr(features.get(settings.label_column), "names", None)
    return encoded_set(table, settings, f"{settings.name}, {split}"), names and tuple(names)


def _fetch(settings: HuggingFaceData, split: str) -> tuple[pa.Table, Any]:
    try:
        import datasets
    except ImportError:
        raise UsageError(
            'data.source = "huggingface" needs the package `datasets`, which is not installed',
            f"pip install 'datasets>=4'; {_OFFLINE}",
        ) from None
    try:
        found = datasets.load_dataset(
            settings.name, settings.subset, split=split, revision=settings.revision
        )
    except ConnectionError as error:
        raise UsageError(
            f"{settings.name}: the Hugging Face Hub cannot be reached: {error}", _OFFLINE
        ) from None
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        raise UsageError(
            f"{settings.name}: cannot be fetched: {error}",
            "check name, subset, revision and splits in the [data] table",
        ) from None
    features = found.features
    if isinstance(features.get(settings.image_column), datasets.Image):
        found = found.cast_column(settings.image_column, datasets.Image(decode=False))
    return found.with_format("arrow")[:], features
