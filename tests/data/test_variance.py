"""Data without a difference is refused, whatever its source."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from pipeline.core.errors import UsageError
from pipeline.data.source import load_dataset
from pipeline.settings import DataSettings, FolderData
from tests.data.test_data import idx, write_idx


def noise(*shape: int) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def idx_data(root: Path, train: npt.NDArray[np.uint8], test: npt.NDArray[np.uint8]) -> DataSettings:
    for part, images in (("train", train), ("t10k", test)):
        write_idx(root / f"{part}-images-idx3-ubyte", images)
        write_idx(root / f"{part}-labels-idx1-ubyte", (np.arange(len(images)) % 2).astype(np.uint8))
    return idx(root)


def folder_data(root: Path, images: npt.NDArray[np.uint8], **values: object) -> DataSettings:
    for part in ("train", "test"):
        for index, image in enumerate(images):
            path = root / part / "ab"[index % 2] / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image if part == "train" else np.flipud(image)).save(path)
    return FolderData.model_validate({"source": "images", "path": root, **values})


def refusal(settings: DataSettings) -> str:
    with pytest.raises(UsageError) as caught:
        load_dataset(settings, seed=0)
    return str(caught.value)


def test_constant_training_images_are_refused(tmp_path: Path) -> None:
    said = refusal(idx_data(tmp_path, np.full((6, 4, 4), 7, np.uint8), noise(4, 4, 4)))
    assert "all 6 training images are the same, every value of them 7" in said
    assert "remedy: look at the files that data.path names" in said


def test_constant_test_images_are_refused(tmp_path: Path) -> None:
    said = refusal(idx_data(tmp_path, noise(6, 4, 4), np.zeros((4, 4, 4), np.uint8)))
    assert "all 4 test images are the same, every value of them 0" in said


def test_one_image_again_and_again_is_refused(tmp_path: Path) -> None:
    again = np.repeat(noise(1, 4, 4), 6, axis=0)
    assert "images are the same, pixel for pixel" in refusal(idx_data(tmp_path, again, again))


def test_shapes_in_the_transparency_alone_need_another_background(tmp_path: Path) -> None:
    icons = np.zeros((6, 4, 4, 4), np.uint8)
    icons[..., 3] = noise(6, 4, 4)
    assert load_dataset(folder_data(tmp_path, icons), seed=0).notes == ()
    said = refusal(folder_data(tmp_path, icons, background="black"))
    assert "set data.background to a color unlike theirs (it is '#000000')" in said


def test_a_constant_channel_is_noted_and_not_scaled(tmp_path: Path) -> None:
    images = noise(6, 4, 4, 3)
    images[..., 2] = 9
    found = load_dataset(folder_data(tmp_path, images), seed=0)
    assert found.notes == (
        "channel 2 of 3 is 9 everywhere in the training images: it says nothing, and is not scaled",
    )
    assert found.normalization.std[2] == 1
