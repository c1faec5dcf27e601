"""Label maps: a label for each pixel, in an .npz file, or in files of their own."""

from __future__ import annotations

import shutil
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from pipeline.core.errors import UsageError
from pipeline.data.decode import Encoded
from pipeline.data.images import Dataset
from pipeline.data.map_folder import decode_label_map
from pipeline.data.source import data_fingerprint, load_dataset
from pipeline.settings import IGNORED, FolderData, NpzData, TaskSettings

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (6, 4, 5), dtype=np.uint8)
MAPS = RANDOM.integers(0, 3, (6, 4, 5))


def load(folder: Path, ignore_index: int = 255, task: str = "dense", **arrays: Any) -> Dataset:
    given = {"x_train": IMAGES, "y_train": MAPS, "x_test": IMAGES[:3], "y_test": MAPS[:3]} | arrays
    np.savez(folder / "data.npz", **given)
    settings = NpzData(source="npz", path=folder / "data.npz")
    if task != "dense":
        return load_dataset(settings, 0)
    return load_dataset(settings, 0, task=TaskSettings(kind="dense", ignore_index=ignore_index))


def test_a_map_stays_with_its_image(tmp_path: Path) -> None:
    found = load(tmp_path)
    assert (found.map_size, found.names) == ((4, 5), ("0", "1", "2"))
    maps = {image.tobytes(): labels for image, labels in zip(IMAGES, MAPS, strict=True)}
    for image, labels in zip(found.train.images[..., 0], found.train.labels, strict=True):
        assert (maps[image.tobytes()] == labels).all()


@pytest.mark.parametrize("ignored", [-1, 0, 200, 9000])
def test_pixels_without_a_label_are_no_class(ignored: int, tmp_path: Path) -> None:
    maps = MAPS + 1
    maps[:, 0, 0] = ignored
    found = load(tmp_path, ignored, y_train=maps, y_test=maps[:3])
    assert len(found.names) == 4
    assert (found.train.labels[:, 0, 0] == IGNORED).all()
    assert (found.train.labels != IGNORED).sum() == 6 * (4 * 5 - 1)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"y_train": MAPS[:, 0, 0]}, "y_train holds int64 [6]"),
        ({"y_train": MAPS / 2}, "y_train holds float64 [6, 4, 5]"),
        (
            {"y_train": np.where(MAPS, 255, 1), "ignore_index": 9},
            "goes from 1 to 255, task.ignore_index = 9 left out",
        ),
        ({"y_train": MAPS - 1}, "goes from -1 to 1"),
        ({"y_test": np.full((3, 4, 5), 255)}, "3 of 3 label maps have no labeled pixel"),
        ({"y_test": MAPS[:2]}, "3 inputs in x_test, but 2 labels in y_test"),
        ({"y_test": MAPS[:3, :2]}, "one label map is [4, 5] in y_train and [2, 5] in y_test"),
    ],
)
def test_what_are_no_label_maps_is_said(arrays: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        load(tmp_path, **arrays)
    assert words in error.value.what


def test_maps_without_the_task_tell_of_it(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        load(tmp_path, task="classification")
    assert 'kind = "dense"' in error.value.remedy


def png(folder: Path, name: str, pixels: npt.NDArray[Any], mode: str | None = None) -> None:
    """A PNG file; in mode P its values are indices into a palette of colors."""
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels)
    if mode == "P":
        image = Image.fromarray(pixels, "L")
        image.putpalette([value for index in range(256) for value in (255 - index, index, 9)])
    image.save(file, "PNG")


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Six images and their maps, of palettes in train and gray in test."""
    for part, mode, count in (("train", "P", 6), ("test", "L", 3)):
        for index in range(count):
            png(tmp_path, f"{part}/images/{index}.png", np.stack([IMAGES[index]] * 3, -1))
            png(tmp_path, f"{part}/labels/{index}.png", MAPS[index].astype(np.uint8), mode)
    return tmp_path


def load_files(folder: Path, **keys: Any) -> Dataset:
    settings = FolderData(source="images", path=folder, **keys)
    return load_dataset(settings, 0, task=TaskSettings(kind="dense"))


def test_label_maps_are_files_whose_values_are_classes(files: Path) -> None:
    found = load_files(files)
    assert (found.map_size, found.names) == ((4, 5), ("0", "1", "2"))
    maps = {image.tobytes(): labels for image, labels in zip(IMAGES, MAPS, strict=True)}
    for part in (found.train, found.test):
        for image, labels in zip(part.images[..., 0], part.labels, strict=True):
            assert (maps[image.tobytes()] == labels).all()
    png(files, "train/labels/0.png", np.where(MAPS[0], MAPS[0], 255).astype(np.uint8))
    found = load_files(files, labels=("sky", "road", "car", "man"))
    assert found.names[3] == "man"
    assert (found.train.labels == IGNORED).sum() == (MAPS[0] == 0).sum()


def test_maps_are_resized_as_their_images_are_but_to_the_nearest_pixel(tmp_path: Path) -> None:
    blocks = np.kron(MAPS[0, :2, :3].astype(np.uint8), np.ones((4, 4), np.uint8))  # 8 x 12
    for part in ("train", "test"):
        png(tmp_path, f"{part}/images/a.png", np.stack([blocks * 90 + len(part)] * 3, -1))
        png(tmp_path, f"{part}/labels/a.png", blocks)
    found = load_files(tmp_path, image_size=2, resize="shortest-edge")
    assert found.image_shape == (3, 2, 2)
    # To 2 x 3 pixels first, of which the first two columns are the middle.
    assert (found.train.labels[0] == MAPS[0, :2, :2]).all()


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_gray_of_few_bits_is_read_as_it_is_written(depth: int, tmp_path: Path) -> None:
    numbers = np.arange(8, dtype=np.uint8).reshape(2, 4) % 2**depth
    rows = [
        np.packbits([v >> b & 1 for v in row for b in reversed(range(depth))]) for row in numbers
    ]
    packed = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", 4, 2, depth, 0, 0, 0, 0)), (b"IDAT", packed))
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in (*chunks, (b"IEND", b""))
    )
    found = decode_label_map(Encoded(data, "map.png"), (4, 2), None)
    assert (found == numbers).all()


GRAY = np.zeros((4, 5), np.uint8)


@pytest.mark.parametrize(
    ("name", "pixels", "words"),
    [
        ("labels/0.png", GRAY[:3], "0.png is 5x3 pixels, its image"),
        ("labels/0.png", np.zeros((4, 5, 3), np.uint8), "a label map of colors (RGB)"),
        ("labels/0.png", np.zeros((4, 5), np.uint16), "a label map of 16 bits"),
        ("labels/0.png", GRAY + 255, "1 of 1 label maps have no labeled pixel"),
        ("labels/0.png", GRAY + 4, "a pixel of class 4, but data.labels names 3"),
        ("labels/new.png", GRAY, "new.png has no partner"),
        ("images/new.png", GRAY, "new.png has no partner"),
        ("images/0.jpg", GRAY, "have one name"),
    ],
)
def test_files_that_are_no_label_maps_are_named(
    name: str, pixels: npt.NDArray[Any], words: str, files: Path
) -> None:
    png(files / "train", name, pixels)
    with pytest.raises(UsageError) as error:
        load_files(files, labels=("a", "b", "c"))
    assert words in error.value.what


def test_a_jpeg_keeps_no_numbers_and_a_torn_file_none_either(files: Path) -> None:
    file = files / "train" / "labels" / "0.png"
    whole = file.read_bytes()
    Image.fromarray(GRAY).save(file, "JPEG")
    with pytest.raises(UsageError, match="no readable PNG file"):
        load_files(files)
    file.write_bytes(whole[:-28])
    with pytest.raises(UsageError, match="a damaged image"):
        load_files(files)


def test_an_image_that_its_exif_data_turn_is_refused(files: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    image = Image.fromarray(np.zeros((4, 5, 3), np.uint8))
    image.save(files / "train" / "images" / "0.png", "PNG", exif=exif)
    with pytest.raises(UsageError, match="its EXIF data turn it"):
        load_files(files)


def test_a_folder_of_maps_without_the_task_tells_of_it(files: Path) -> None:
    with pytest.raises(UsageError) as error:
        load_dataset(FolderData(source="images", path=files), 0)
    assert 'kind = "dense"' in error.value.remedy


def test_a_folder_without_maps_is_told_how_to_lay_them_out(files: Path) -> None:
    shutil.rmtree(files / "test" / "labels")
    with pytest.raises(UsageError) as error:
        load_files(files)
    assert "labels: no such folder" in error.value.what
    assert "train/labels/NAME.png" in error.value.remedy


def test_another_label_map_is_another_data_set(files: Path) -> None:
    settings = FolderData(source="images", path=files)
    before = data_fingerprint(settings)
    png(files, "train/labels/0.png", GRAY)
    assert data_fingerprint(settings) != before
