"""Label maps: a label for each pixel, in an .npz file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.core.errors import UsageError
from pipeline.data.images import Dataset
from pipeline.data.source import load_dataset
from pipeline.settings import IGNORED, NpzData, TaskSettings

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
