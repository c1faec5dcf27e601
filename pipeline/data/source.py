"""The data sources that a profile can name. A new source is two functions and one entry here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pipeline.core.errors import UsageError
from pipeline.core.toml_file import PATH_RULE
from pipeline.settings import (
    DataSettings,
    DigitsData,
    FolderData,
    HuggingFaceData,
    IdxData,
    NpzData,
    ParquetData,
    TaskSettings,
)

if TYPE_CHECKING:  # naming the data must not import torch
    from pipeline.data.images import Dataset


def load_dataset(
    settings: DataSettings,
    seed: int,
    held_out: int | None = None,
    task: TaskSettings = TaskSettings(),  # noqa: B008 (it is immutable)
) -> Dataset:
    """Reads the data that a profile's ``[data]`` table names.

    Args:
        settings: that table.
        seed: decides every choice of images.
        held_out: how many training images to keep from training.
        task: whose labels these are.

    Raises:
        UsageError: the data is missing, damaged, out of reach, too little, or all the same.
    """
    from pipeline.data.normalization import Normalization
    from pipeline.data.repeated import noting_repeated
    from pipeline.data.variance import require_variance

    with _readable():
        _require_there(settings)
        dataset = _load(settings, seed, task)
    dataset = noting_repeated(require_variance(dataset, settings))
    if not dataset.tensors and (stated := settings.normalization):
        dataset = dataset.normalized(Normalization(stated.mean, stated.std), by="profile")
    return dataset.holding_out(held_out, seed)


def _load(settings: DataSettings, seed: int, task: TaskSettings) -> Dataset:
    match settings:
        case DigitsData():
            from pipeline.data.digits import load_digits

            return load_digits(settings, seed)
        case IdxData():
            from pipeline.data.idx import load_idx

            return load_idx(settings, seed)
        case NpzData():
            from pipeline.data.npz import load_npz

            return load_npz(settings, seed, task)
        case FolderData() if task.kind == "dense":
            from pipeline.data.map_folder import load_map_folder

            return load_map_folder(settings, seed, task)
        case FolderData():
            from pipeline.data.folder import load_folder

            return load_folder(settings, seed)
        case ParquetData():
            from pipeline.data.parquet import load_parquet

            return load_parquet(settings, seed)
        case HuggingFaceData():
            from pipeline.data.huggingface import load_huggingface

            return load_huggingface(settings, seed)


def data_fingerprint(settings: DataSettings) -> str:
    """Names the bytes behind a ``[data]`` table without decoding them, for cache keys.

    Raises:
        UsageError: the data is missing or out of reach.
    """
    with _readable():
        _require_there(settings)
        return _fingerprint(settings)


def _fingerprint(settings: DataSettings) -> str:
    match settings:
        case DigitsData():
            from pipeline.data.digits import digits_fingerprint

            return digits_fingerprint(settings)
        case IdxData():
            from pipeline.data.idx import idx_fingerprint

            return idx_fingerprint(settings)
        case NpzData():
            from pipeline.data.npz import npz_fingerprint

            return npz_fingerprint(settings)
        case FolderData():
            from pipeline.data.folder import folder_fingerprint

            return folder_fingerprint(settings)
        case ParquetData():
            from pipeline.data.parquet import parquet_fingerprint

            return parquet_fingerprint(settings)
        case HuggingFaceData():
            from pipeline.data.huggingface import huggingface_fingerprint

            return huggingface_fingerprint(settings)


def _require_there(settings: DataSettings) -> None:
    path, kind = getattr(settings, "path", None), "folder"
    if isinstance(settings, NpzData):
        kind = "file"
    if path is not None and not (path.is_file() if kind == "file" else path.is_dir()):
        state = f"not a {kind}" if path.exists() else f"no such {kind}"
        raise UsageError(
            f"data.path: {path.absolute()}: {state}", f"correct data.path; {PATH_RULE}"
        )


@contextmanager
def _readable() -> Iterator[None]:
    """Makes an error of reading files, which any source may meet, one that names the file."""
    try:
        yield
    except OSError as error:
        raise UsageError(
            f"{error.filename or 'data'}: cannot be read: {error.strerror or error}",
            "correct its permissions, or data.path",
        ) from None
