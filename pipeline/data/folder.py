"""A folder of image files: ``train/LABEL/*.png`` and ``test/LABEL/*.png``, or .jpg and .jpeg."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np

from pipeline.core.atomic_files import sha256_of
from pipeline.core.errors import UsageError
from pipeline.data.decode import Encoded
from pipeline.data.encoded import EncodedSet, decode_dataset, decoder
from pipeline.data.images import Dataset
from pipeline.data.repeated import require_apart
from pipeline.settings import FolderData

_SUFFIXES = (".png", ".jpg", ".jpeg")
_LAYOUT = "lay the images out as train/LABEL/NAME.png and test/LABEL/NAME.png (or .jpg)"


def load_folder(settings: FolderData, seed: int) -> Dataset:
    """The data set in a folder; labels are the sorted names of the folders below ``train``.

    Raises:
        UsageError: the layout is another, train and test have other labels or are one folder, a
            label has no image, or an image is damaged or of another size; the file is named.
    """
    train, test = (_images(settings.path / part) for part in ("train", "test"))
    if unpaired := sorted(train.keys() ^ test.keys()):
        has, lacks = ("train", "test") if unpaired[0] in train else ("test", "train")
        raise UsageError(
            f"{settings.path}: label {unpaired[0]!r} is in {has} but not in {lacks}",
            "give train and test the same labels",
        )
    names = tuple(sorted(train))
    if names == ("images", "labels"):
        raise UsageError(
            f"{settings.path}: train holds images and labels, which are no names of labels",
            'kind = "dense" in [task] takes them as images and their label maps',
        )
    if settings.labels is not None:
        raise UsageError(
            "data.labels: the names of the folders are the labels", "leave data.labels out"
        )
    require_apart(*([settings.path / part / name for name in names] for part in ("train", "test")))
    return decode_dataset(_encoded(train, names), _encoded(test, names), names, settings, seed)


def folder_fingerprint(settings: FolderData) -> str:
    """Names the bytes that `load_folder` would read: every image's name and sha256."""
    digest = hashlib.sha256(decoder().encode())
    for part in ("train", "test"):
        for files in _images(settings.path / part).values():
            for file in files:
                name = os.fsencode(file.relative_to(settings.path))
                digest.update(f"\n{sha256_of(file)} ".encode() + name)
    return f"sha256:{digest.hexdigest()}"


def _encoded(found: dict[str, list[Path]], names: tuple[str, ...]) -> EncodedSet:
    files = [file for name in names for file in found[name]]
    labels = [label for label, name in enumerate(names) for _ in found[name]]

    def fetch(index: int) -> Encoded:
        return Encoded(files[index].read_bytes(), str(files[index]))

    return EncodedSet(np.array(labels, dtype=np.int64), fetch)


def _images(part: Path) -> dict[str, list[Path]]:
    """The image files of every label, both in the order of their names."""
    if not part.is_dir():
        raise UsageError(f"{part}: no such folder", _LAYOUT)
    found: dict[str, list[Path]] = {}
    for label in entries_of(part):
        if not label.is_dir():
            raise UsageError(f"{label}: a file where the folders of the labels belong", _LAYOUT)
        try:
            label.name.encode()
        except UnicodeEncodeError:
            raise UsageError(
                f"{label}: a label is text, and this name is not UTF-8", "rename the folder"
            ) from None
        found[label.name] = entries_of(label)
        if not found[label.name]:
            raise UsageError(f"{label}: a label without images", "add some, or remove the folder")
        for file in found[label.name]:
            require_image_file(file)
    if not found:
        raise UsageError(f"{part}: holds no label", _LAYOUT)
    return found


def entries_of(folder: Path) -> list[Path]:
    """What a folder holds, in the order of the names."""
    # Hidden files are what desktops leave behind.
    return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))


def require_image_file(file: Path) -> None:
    """Checks that a file's name is one of an image.

    Raises:
        UsageError: it is not, or it is no file.
    """
    if file.suffix.lower() not in _SUFFIXES or not file.is_file():
        raise UsageError(
            f"{file}: not an image file ({', '.join(_SUFFIXES)})", "convert or remove it"
        )
