"""Arrow tables of encoded images and integer labels, as Hugging Face lays data sets out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from pipeline.core.errors import UsageError
from pipeline.data.decode import Encoded
from pipeline.data.encoded import EncodedSet
from pipeline.data.images import MOST_LABEL

if TYPE_CHECKING:
    import pyarrow as pa


class Columns(Protocol):
    """The settings that say where images and labels are, and what the labels are called."""

    @property
    def image_column(self) -> str: ...
    @property
    def label_column(self) -> str: ...
    @property
    def labels(self) -> tuple[str, ...] | None: ...


def encoded_set(table: pa.Table, columns: Columns, origin: str) -> EncodedSet:
    """The images and labels of a table, nothing decoded.

    Args:
        table: of one file.
        columns: what its columns are called.
        origin: the file, for errors.

    Raises:
        UsageError: a column is missing or of another type, a label is null or negative, or there is
            no row. A null image is told when it is fetched.
    """
    labels = _labels(_column(table, columns.label_column, "data.label_column", origin), origin)
    images = _bytes(_column(table, columns.image_column, "data.image_column", origin), origin)
    if not len(labels):
        raise UsageError(f"{origin}: holds no row", "fetch it again")

    def fetch(index: int) -> Encoded:
        data = images[index].as_py()
        if data is None:
            raise UsageError(
                f"{origin}, row {index}: no image bytes",
                "the bytes must be in the table itself, not in a file that it names",
            )
        return Encoded(data, f"{origin}, row {index}")

    return EncodedSet(labels, fetch)


def label_names(
    columns: Columns, published: tuple[str, ...] | None, used: npt.NDArray[np.int64], origin: str
) -> tuple[str, ...]:
    """The names of the labels: the profile's, else those published with the data, else numbers.

    Args:
        columns: may name them.
        published: what the data set calls them, if it does.
        used: every label in train and test.
        origin: the data set, for errors.

    Raises:
        UsageError: fewer are named than used.
    """
    classes = int(used.max()) + 1
    names = columns.labels or published or tuple(str(label) for label in range(classes))
    if len(names) < classes:
        raise UsageError(
            f"{'data.labels' if columns.labels else origin} names {len(names)} labels, but "
            f"{origin} uses {classes}",
            "name every label in data.labels",
        )
    return names


def _column(table: pa.Table, name: str, key: str, origin: str) -> pa.ChunkedArray:
    index = table.schema.get_field_index(name)
    if index < 0:
        raise UsageError(
            f"{origin}: no column {name!r}, or several",
            f"set {key} to one of: {', '.join(table.schema.names)}",
        )
    return table.column(index)


def _labels(column: pa.ChunkedArray, origin: str) -> npt.NDArray[np.int64]:
    import pyarrow as pa

    if not pa.types.is_integer(column.type):
        raise UsageError(
            f"{origin}: labels are {column.type}, not integers", "set data.label_column to another"
        )
    if column.null_count:
        raise UsageError(f"{origin}: {column.null_count} labels are null", "remove those rows")
    labels = column.to_numpy()
    if len(labels) and (labels.min() < 0 or labels.max() > MOST_LABEL):
        raise UsageError(
            f"{origin}: labels go from {labels.min()} to {labels.max()}",
            f"number them from 0, to at most {MOST_LABEL}",
        )
    found: npt.NDArray[np.int64] = labels.astype(np.int64)
    return found


def _bytes(column: pa.ChunkedArray, origin: str) -> pa.ChunkedArray:
    """The column itself if it holds bytes, or the ``bytes`` field of a column of structs."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
        column = pc.struct_field(column, "bytes")
    if not (pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type)):
        raise UsageError(
            f"{origin}: images are {kind}, not bytes or a struct with a field of bytes",
            "set data.image_column to another",
        )
    return column
