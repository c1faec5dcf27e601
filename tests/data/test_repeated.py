"""Data that is both learned from and tested on, and labels that nothing tells apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipeline.core.errors import UsageError
from pipeline.data.images import Dataset
from pipeline.data.source import load_dataset
from pipeline.settings import DataSettings, FolderData, NpzData, ParquetData
from tests.data.test_data import idx, write_idx
from tests.data.test_encoded_data import encode

IMAGES = np.random.default_rng(0).integers(0, 256, (40, 4, 4, 3), dtype=np.uint8)
LABELS = np.arange(40) % 2


def linked_folder(root: Path) -> DataSettings:
    """Test images of a label are a link to those that train."""
    for number, image in enumerate(IMAGES[:4]):
        path = root / ("train" if number < 2 else "test") / "ab"[number % 2] / "0.png"
        path.parent.mkdir(parents=True)
        Image.fromarray(image).save(path)
    (root / "test" / "b" / "0.png").unlink()
    (root / "test" / "b").rmdir()
    (root / "test" / "b").symlink_to(root / "train" / "b")
    return FolderData(source="images", path=root)


def linked_parquet(root: Path) -> DataSettings:
    rows = {"image": [encode(image) for image in IMAGES[:4]], "label": LABELS[:4]}
    pq.write_table(pa.table(rows), root / "train.parquet")
    (root / "test.parquet").hardlink_to(root / "train.parquet")
    return ParquetData(source="parquet", path=root)


def linked_idx(root: Path) -> DataSettings:
    write_idx(root / "train-images-idx3-ubyte", IMAGES[..., 0])
    for part in ("train", "t10k"):
        write_idx(root / f"{part}-labels-idx1-ubyte", LABELS.astype(np.uint8))
    (root / "t10k-images-idx3-ubyte").symlink_to("train-images-idx3-ubyte")
    return idx(root)


@pytest.mark.parametrize("linked", [linked_folder, linked_parquet, linked_idx])
def test_what_is_read_as_both_parts_is_refused_by_name(linked: object, tmp_path: Path) -> None:
    assert callable(linked)
    with pytest.raises(UsageError, match="accuracy would be measured on what was") as caught:
        load_dataset(linked(tmp_path), seed=0)
    assert str(tmp_path / "t") in caught.value.what
    assert "files of their own" in caught.value.remedy


def npz(folder: Path, same: int) -> Dataset:
    """Ten test images, so many of which are those that train."""
    test = slice(30 - same, 40 - same)
    arrays = {"x_train": IMAGES[:30], "y_train": LABELS[:30]}
    np.savez(folder / "data.npz", x_test=IMAGES[test], y_test=LABELS[test], **arrays)
    return load_dataset(NpzData(source="npz", path=folder / "data.npz"), seed=0)


def test_test_images_that_are_trained_on_are_told(tmp_path: Path) -> None:
    (note,) = npz(tmp_path, same=10).notes
    assert "10 of 10 test images are among those that are trained on" in note
    assert "2 of 10 test images" in npz(tmp_path, same=2).notes[0]


def test_a_few_are_in_many_published_sets_and_not_told(tmp_path: Path) -> None:
    assert not npz(tmp_path, same=1).notes
    assert not npz(tmp_path, same=0).notes


def test_published_labels_of_one_name_are_told(tmp_path: Path) -> None:
    """As ImageNet has two cranes, these are no mistake of the profile's."""
    text = '{"info": {"features": {"label": {"names": ["crane", "fox", "crane"]}}}}'
    for part, images in (("train", IMAGES[:6]), ("test", IMAGES[6:12])):
        rows = {"image": [encode(image) for image in images], "label": np.arange(6) % 3}
        table = pa.table(rows).replace_schema_metadata({"huggingface": text})
        pq.write_table(table, tmp_path / f"{part}.parquet")
    (note,) = load_dataset(ParquetData(source="parquet", path=tmp_path), seed=0).notes
    assert note.startswith("2 labels are called 'crane', such as 0 and 2")
