"""Parquet files of encoded images: what Hugging Face publishes, read without its library."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.core.atomic_files import sha256_of
from pipeline.core.errors import UsageError
from pipeline.data.columns import encoded_set, label_names
from pipeline.data.encoded import EncodedSet, decode_dataset, decoder
from pipeline.data.images import Dataset
from pipeline.data.repeated import require_apart
from pipeline.settings import ParquetData

if TYPE_CHECKING:
    import pyarrow as pa


def load_parquet(settings: ParquetData, seed: int) -> Dataset:
    """The data set in a folder of Parquet files.

    Raises:
        UsageError: a file is missing, damaged or has other columns, or an image is damaged or of
            another size; the file and the row are named.
    """
    parts: list[EncodedSet] = []
    published: tuple[str, ...] | None = None
    paths = [_files(settings.path, part) for part in ("train", "test")]
    require_apart(*paths)
    for of_part in paths:
        files: list[EncodedSet] = []
        for path in of_part:
            table = _read(path, (settings.image_column, settings.label_column))
            files.append(encoded_set(table, settings, str(path)))
            published = published or _published_names(table.schema, settings.label_column)
        parts.append(EncodedSet.joined(files))
    train, test = parts
    used = np.concatenate([train.labels, test.labels])
    names = label_names(settings, published, used, str(settings.path))
    return decode_dataset(train, test, names, settings, seed)


def parquet_fingerprint(settings: ParquetData) -> str:
    """Names the bytes that `load_parquet` would read: the sha256 of the files, in their order."""
    digest = hashlib.sha256(decoder().encode())
    for part in ("train", "test"):
        for path in _files(settings.path, part):
            digest.update(f"\n{part} {sha256_of(path)}".encode())
    return f"sha256:{digest.hexdigest()}"


def _files(folder: Path, part: str) -> list[Path]:
    single = folder / f"{part}.parquet"
    found = sorted(folder.glob(f"{part}-*.parquet")) or [single] * single.is_file()
    if not found:
        raise UsageError(
            f"{folder}: neither {part}-*.parquet nor {part}.parquet is there",
            "point data.path at the folder of the Parquet files themselves",
        )
    return found


def _read(path: Path, columns: tuple[str, ...]) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # Not read_table, which takes folders such as label=3/ on the way for columns.
        with pq.ParquetFile(path) as file:
            present = [name for name in columns if name in file.schema_arrow.names]
            if len(present) < len(columns):
                # Without rows: who reads the table tells which column is missing.
                return file.schema_arrow.empty_table()
            return file.read(columns=present)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise UsageError(f"{path}: not a whole Parquet file: {error}", "fetch it again") from None


def _published_names(schema: pa.Schema, column: str) -> tuple[str, ...] | None:
    """The label names that the `datasets` library keeps in a schema's metadata, if it does."""
    try:
        text = (schema.metadata or {})[b"huggingface"]
        feature: Any = json.loads(text)["info"]["features"][column]
        names = feature["names"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return None
    if isinstance(names, list) and names and all(isinstance(name, str) for name in names):
        return tuple(names)
    return None
