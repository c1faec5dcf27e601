"""A folder of images and label maps, ``train/images`` and ``train/labels``, and ``test`` alike.

A label map is a PNG of 8-bit gray or with a palette whose values are the numbers of classes: the
image of the same name's, and of its size.
"""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from pipeline.core.errors import UsageError
from pipeline.data.decode import DAMAGE, Decoded, Encoded, resized
from pipeline.data.encoded import EncodedSet, decode_dataset
from pipeline.data.folder import entries_of, require_image_file
from pipeline.data.images import Dataset
from pipeline.data.label_maps import classes_in, label_maps
from pipeline.data.repeated import require_apart
from pipeline.settings import FolderData, Resizing, TaskSettings

_LAYOUT = "lay the data out as train/images/NAME.png, train/labels/NAME.png, and test alike"
_AS_NUMBERS = (
    "write one channel of 8 bits that holds the number of each pixel's class: "
    "PIL.Image.fromarray(numbers.astype('uint8')).save(FILE)"
)


def load_map_folder(settings: FolderData, seed: int, task: TaskSettings) -> Dataset:
    """The data set of a dense task in a folder.

    Raises:
        UsageError: the layout is another, an image or its label map lacks the other, a file is
            damaged or of another kind, sizes differ, or a number is none of a class; it is named.
    """
    train, test = (_pairs(settings.path / part) for part in ("train", "test"))
    require_apart(*([image for image, _ in part] for part in (train, test)))
    found = decode_dataset(
        _encoded(train, settings, task), _encoded(test, settings, task), (), settings, seed
    )
    names = settings.labels
    if names is None:
        classes = max(classes_in(found.train.labels), classes_in(found.test.labels))
        names = tuple(map(str, range(classes)))
    return replace(found, names=names)


def decode_label_map(
    encoded: Encoded, size: tuple[int, int], resizing: Resizing | None
) -> npt.NDArray[np.uint8]:
    """The numbers in a label map, ``[height, width]``; resized ones are the nearest pixels'.

    Args:
        encoded: a PNG file.
        size: the width and height that it has to have.
        resizing: how its image is resized, if it is.

    Raises:
        UsageError: it is no PNG of 8-bit gray or with a palette, damaged, or of another size.
    """
    try:
        with Image.open(io.BytesIO(encoded.data), formats=("PNG",)) as image:
            if image.size != size:
                raise UsageError(
                    f"{encoded.origin} is {image.width}x{image.height} pixels, its image "
                    f"{size[0]}x{size[1]}",
                    "give every pixel of the image a label: write the map at the image's size",
                )
            if image.mode not in ("1", "L", "P"):
                what = "16 bits" if image.mode.startswith("I") else f"colors ({image.mode})"
                raise UsageError(f"{encoded.origin}: a label map of {what}", _AS_NUMBERS)
            image.load()
            depth = encoded.data[24]  # of the IHDR chunk, which a PNG begins with
            numbers = image if image.mode == "P" else _as_written(image, depth)
            if resizing is not None:
                numbers = resized(numbers, resizing, Image.Resampling.NEAREST, encoded.origin)
            return np.array(numbers, dtype=np.uint8)
    except UnidentifiedImageError:
        raise UsageError(
            f"{encoded.origin}: no readable PNG file; a JPEG does not keep a label map's numbers",
            _AS_NUMBERS,
        ) from None
    except (*DAMAGE, Image.DecompressionBombError) as error:
        raise UsageError(
            f"{encoded.origin}: a damaged image: {error}", "fetch or make it again"
        ) from None


def _as_written(gray: Image.Image, depth: int) -> Image.Image:
    """Gray as it is in the file: fewer than 8 bits are spread over 0 to 255 where they are read."""
    if depth >= 8:
        return gray
    return Image.fromarray(np.array(gray.convert("L")) // (255 // (2**depth - 1)))


def _encoded(
    pairs: list[tuple[Path, Path]], settings: FolderData, task: TaskSettings
) -> EncodedSet:
    def fetch(index: int) -> Encoded:
        image, _ = pairs[index]
        return Encoded(image.read_bytes(), str(image))

    def label_map(index: int, decoded: Decoded) -> npt.NDArray[np.uint8]:
        image, file = pairs[index]
        if decoded.turned:
            raise UsageError(
                f"{image}: its EXIF data turn it, and nothing says whether its label map is turned",
                "save it upright and without EXIF data, as its label map lies",
            )
        encoded = Encoded(file.read_bytes(), str(file))
        numbers = decode_label_map(encoded, decoded.size, settings.resizing)
        found = label_maps(numbers[np.newaxis], str(file), task.ignore_index)
        if settings.labels and (most := classes_in(found) - 1) >= len(settings.labels):
            raise UsageError(
                f"{file}: a pixel of class {most}, but data.labels names {len(settings.labels)}, "
                "from 0 on",
                "name every class, or correct the label map",
            )
        return np.asarray(found[0])

    return EncodedSet(np.zeros(len(pairs), np.int64), fetch, label_map)


def _pairs(part: Path) -> list[tuple[Path, Path]]:
    """Images and their label maps, in the order of their names."""
    images, maps = (_by_stem(part / folder) for folder in ("images", "labels"))
    if alone := sorted(images.keys() ^ maps.keys()):
        (file, other) = (
            (images[alone[0]], "labels") if alone[0] in images else (maps[alone[0]], "images")
        )
        raise UsageError(
            f"{file} has no partner: {part / other} holds no {alone[0]!r} ({len(alone)} lack one)",
            "give an image and its label map the same name, and remove what has no partner",
        )
    if not images:
        raise UsageError(f"{part / 'images'}: holds no image", _LAYOUT)
    return [(images[stem], maps[stem]) for stem in sorted(images)]


def _by_stem(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder", _LAYOUT)
    found: dict[str, Path] = {}
    for file in entries_of(folder):
        require_image_file(file)
        if file.stem in found:
            raise UsageError(
                f"{file} and {found[file.stem]} have one name", "which is meant? rename one"
            )
        found[file.stem] = file
    return found
