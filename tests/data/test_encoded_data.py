"""Sources of PNG and JPEG images: folders, Parquet files, the Hugging Face library."""

from __future__ import annotations

import io
import json
import sys
import types
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipeline.core.errors import UsageError
from pipeline.data.source import data_fingerprint, load_dataset
from pipeline.settings import EncodedData, FolderData, HuggingFaceData, ParquetData

COUNTS = {"train": 12, "test": 6}
NAMES = ("bird", "cat", "dog")


def pixels(part: str, index: int) -> npt.NDArray[np.uint8]:
    """An image that says where it belongs: its first red value is its label."""
    random = np.random.default_rng([index, len(part)])
    image = random.integers(0, 256, (6, 6, 3), dtype=np.uint8)
    image[0, 0, 0] = index % 3
    return image


def encode(image: npt.NDArray[Any], kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, kind)
    return buffer.getvalue()


def table(part: str, *, struct: bool = True, **columns: Any) -> pa.Table:
    """What Hugging Face publishes for our images."""
    data = [encode(pixels(part, index)) for index in range(COUNTS[part])]
    found: dict[str, Any] = {
        "image": [{"bytes": image, "path": None} for image in data] if struct else data,
        "label": pa.array([index % 3 for index in range(len(data))], pa.int64()),
    }
    return pa.table({**found, **columns})


def folder(root: Path) -> FolderData:
    for part, count in COUNTS.items():
        for index in range(count):
            path = root / part / NAMES[index % 3] / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encode(pixels(part, index)))
    return FolderData(source="images", path=root)


def parquet(root: Path) -> ParquetData:
    whole = table("train")
    pq.write_table(whole.slice(0, 7), root / "train-00000-of-00002.parquet")
    pq.write_table(whole.slice(7), root / "train-00001-of-00002.parquet")
    pq.write_table(table("test", struct=False), root / "test-00000-of-00001.parquet")
    return ParquetData(source="parquet", path=root, labels=NAMES)


@pytest.fixture(params=[folder, parquet])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> EncodedData:
    """The same images from either source that lies on disk."""
    found: EncodedData = request.param(tmp_path)
    return found


def changed(settings: EncodedData, **values: object) -> Any:
    return type(settings).model_validate({**settings.model_dump(), **values})


def refusal(settings: Any) -> str:
    with pytest.raises(UsageError) as caught:
        load_dataset(settings, seed=0)
    assert caught.value.remedy
    return str(caught.value)


def test_every_image_comes_with_its_label(settings: Any) -> None:
    dataset = load_dataset(settings, seed=0)
    assert (len(dataset.train), len(dataset.test)) == (12, 6)
    assert dataset.image_shape == (3, 6, 6)
    assert dataset.names == NAMES
    for part, found in (("train", dataset.train), ("test", dataset.test)):
        assert np.array_equal(found.images[:, 0, 0, 0], found.labels)
        expected = {pixels(part, index).tobytes() for index in range(COUNTS[part])}
        assert {image.tobytes() for image in found.images} == expected


def test_the_seed_decides_the_order(settings: Any) -> None:
    first, again, other = (load_dataset(settings, seed).train.images for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_bound_takes_the_first_of_the_shuffled_images(settings: Any) -> None:
    whole = load_dataset(settings, seed=0)
    part = load_dataset(changed(settings, train_images=5, test_images=2), seed=0)
    assert np.array_equal(part.train.images, whole.train.images[:5])
    assert np.array_equal(part.test.labels, whole.test.labels[:2])


def test_images_get_the_size_and_the_channels_of_the_profile(settings: Any) -> None:
    dataset = load_dataset(changed(settings, image_size=9, channels=1), seed=0)
    assert dataset.image_shape == (1, 9, 9)
    assert len(dataset.normalization.mean) == 1


def test_the_fingerprint_follows_the_bytes_not_the_bounds(settings: Any, tmp_path: Path) -> None:
    before = data_fingerprint(settings)
    assert before == data_fingerprint(changed(settings, train_images=3))
    path = min(path for path in tmp_path.rglob("*") if path.is_file())
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert before != data_fingerprint(settings)


def test_the_fingerprint_does_not_depend_on_where_the_data_lies(
    settings: Any, tmp_path: Path
) -> None:
    before = data_fingerprint(settings)
    moved = tmp_path.with_name(f"{tmp_path.name}-moved")
    tmp_path.rename(moved)
    assert before == data_fingerprint(changed(settings, path=moved))


def test_a_missing_folder_is_named(settings: Any, tmp_path: Path) -> None:
    missing = changed(settings, path=tmp_path / "nowhere")
    assert str(tmp_path / "nowhere") in refusal(missing)
    with pytest.raises(UsageError, match="nowhere"):
        data_fingerprint(missing)


def test_a_file_that_may_not_be_read_is_named(
    settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole_open = Path.open

    def refuse(path: Path, *arguments: Any, **options: Any) -> Any:
        if path.is_relative_to(tmp_path):
            raise PermissionError(13, "Permission denied", str(path))
        return whole_open(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", refuse)  # a test may run as root, whom no mode stops
    with pytest.raises(UsageError, match=rf"{tmp_path}.*: cannot be read: Permission denied"):
        data_fingerprint(settings)


def test_jpegs_gray_palette_and_transparent_images_are_converted(tmp_path: Path) -> None:
    settings = folder(tmp_path)
    cat = tmp_path / "train" / "cat"
    gray = Image.fromarray(np.full((6, 6), 77, np.uint8))
    gray.save(cat / "1.png")
    gray.save(cat / "jpeg.JPG", "JPEG", quality=100)
    gray.convert("P").save(cat / "palette.png")
    gray.convert("RGBA").save(cat / "transparent.png")
    images = load_dataset(settings, seed=0).train.images
    assert sum((image == 77).all() for image in images) == 4


def damage(change: Callable[[Path], object]) -> Callable[[Path], str]:
    """Changes the folder of images and returns the name that an error has to give."""

    def apply(root: Path) -> str:
        path = root / "train" / "cat" / "1.png"
        change(path)
        return str(path)

    return apply


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (damage(lambda p: p.write_bytes(p.read_bytes()[:-60])), "a damaged image"),
        (damage(lambda p: p.write_bytes(p.read_bytes()[:20])), "image"),
        (damage(lambda p: p.write_bytes(b"")), "neither a PNG nor a JPEG"),
        (damage(lambda p: p.write_bytes(b"GIF89a" + bytes(50))), "neither a PNG nor a JPEG"),
        (damage(lambda p: p.write_bytes(encode(np.zeros((6, 6), np.uint16)))), "8 bits a channel"),
        (damage(lambda p: p.write_bytes(encode(np.zeros((6, 7), np.uint8)))), "7x6 pixels"),
        (damage(lambda p: (p.unlink(), p.mkdir())), "not an image file"),
    ],
)
def test_hostile_image_files_are_refused_by_name(
    change: Callable[[Path], str], said: str, tmp_path: Path
) -> None:
    settings = folder(tmp_path)
    name = change(tmp_path)
    message = refusal(settings)
    assert name in message
    assert said in message


def test_an_image_that_promises_gigabytes_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    settings = folder(tmp_path)
    path = tmp_path / "test" / "dog" / "2.png"
    data = bytearray(path.read_bytes())
    data[16:24] = (9000).to_bytes(4, "big") * 2  # width and height in the header
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    path.write_bytes(data)
    assert f"{path}: 9000x9000 pixels are too many" in refusal(settings)


def test_mixed_sizes_are_no_error_when_the_profile_gives_one(tmp_path: Path) -> None:
    settings = folder(tmp_path)
    (tmp_path / "test" / "dog" / "2.png").write_bytes(encode(np.zeros((11, 7, 3), np.uint8)))
    assert "set data.image_size" in refusal(settings)
    assert load_dataset(changed(settings, image_size=6), seed=0).image_shape == (3, 6, 6)


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("train/fish/", "fish: a label without images"),
        ("train/cat/notes.txt", "notes.txt: not an image file"),
        ("train/stray.png", "stray.png: a file where the folders of the labels belong"),
        ("test/fish/1.png", "label 'fish' is in test but not in train"),
    ],
)
def test_a_wrong_layout_is_refused(place: str, said: str, tmp_path: Path) -> None:
    settings = folder(tmp_path)
    path = tmp_path / place
    if place.endswith("/"):
        path.mkdir()
    else:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(encode(pixels("train", 0)))
    assert said in refusal(settings)


def test_hidden_files_are_left_alone(tmp_path: Path) -> None:
    settings = folder(tmp_path)
    before = data_fingerprint(settings)
    (tmp_path / "train" / ".DS_Store").write_bytes(b"?")
    (tmp_path / "train" / "cat" / ".thumbnail.png").write_bytes(b"?")
    assert len(load_dataset(settings, seed=0).train) == 12
    assert data_fingerprint(settings) == before


def test_an_empty_part_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    assert "train: holds no label" in refusal(FolderData(source="images", path=tmp_path))


@pytest.mark.parametrize("data", [b"", b"PAR1", b"PAR1" + bytes(100) + b"PAR1", bytes(50)])
def test_what_is_no_parquet_file_is_refused_by_name(data: bytes, tmp_path: Path) -> None:
    settings = parquet(tmp_path)
    path = tmp_path / "train-00001-of-00002.parquet"
    path.write_bytes(data)
    assert f"{path}: not a whole Parquet file" in refusal(settings)


def test_a_parquet_file_cut_short_is_refused_by_name(tmp_path: Path) -> None:
    settings = parquet(tmp_path)
    path = tmp_path / "test-00000-of-00001.parquet"
    path.write_bytes(path.read_bytes()[:-30])
    assert f"{path}: not a whole Parquet file" in refusal(settings)


NOTHING = [{"bytes": None, "path": "a.png"}] * 6


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"label": ["cat"] * 6}, "labels are string, not integers"),
        ({"label": [0.5] * 6}, "labels are double, not integers"),
        ({"label": pa.array([0, 1, None, 0, 1, 2], pa.int64())}, "1 labels are null"),
        ({"label": [0, -1, 0, 0, 0, 0]}, "labels go from -1 to 0"),
        ({"label": pa.array([0, 2**63, 0, 0, 0, 0], pa.uint64())}, "labels go from 0 to"),
        ({"label": [0, 1, 2, 3, 0, 0]}, "data.labels names 3 labels, but"),
        ({"image": ["a.png"] * 6}, "images are string, not bytes"),
        ({"image": [{"path": "a.png"}] * 6}, "not bytes or a struct with a field of bytes"),
        ({"image": pa.array(NOTHING, pa.struct({"bytes": pa.binary()}))}, "no image bytes"),
        ({"image": [b"\x89PNG\r\n\x1a\n"] * 6}, "row"),
    ],
)
def test_columns_of_another_kind_are_refused(
    columns: dict[str, Any], said: str, tmp_path: Path
) -> None:
    settings = parquet(tmp_path)
    path = tmp_path / "test-00000-of-00001.parquet"
    pq.write_table(table("test", **columns), path)
    message = refusal(settings)
    assert said in message
    assert str(tmp_path) in message


@pytest.mark.parametrize("column", ["image", "label"])
def test_a_missing_column_is_told_with_those_that_are_there(column: str, tmp_path: Path) -> None:
    settings = changed(parquet(tmp_path), **{f"{column}_column": "img"})
    message = refusal(settings)
    assert "no column 'img'" in message
    assert f"set data.{column}_column to one of: image, label" in message


def test_label_names_come_from_the_metadata_that_hugging_face_writes(tmp_path: Path) -> None:
    settings = changed(parquet(tmp_path), labels=None)
    assert load_dataset(settings, seed=0).names == ("0", "1", "2")
    feature = {"names": list(NAMES), "_type": "ClassLabel"}
    text = json.dumps({"info": {"features": {"label": feature}}})
    path = tmp_path / "test-00000-of-00001.parquet"
    pq.write_table(table("test").replace_schema_metadata({"huggingface": text}), path)
    assert load_dataset(settings, seed=0).names == NAMES


class FakeHub:
    """Stands in for the `datasets` library: our images in a column of its `Image` feature."""

    class Image:
        def __init__(self, decode: bool = True) -> None:
            self.decode = decode

    class ExpectedError(Exception):
        pass

    def __init__(self, failure: Exception | None = None) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.failure = failure

    def module(self) -> types.ModuleType:
        module: Any = types.ModuleType("datasets")
        module.Image = self.Image
        module.exceptions = types.SimpleNamespace(DatasetsError=self.ExpectedError)
        module.load_dataset = self.load_dataset
        return module

    def load_dataset(self, name: str, subset: str | None, *, split: str, revision: str) -> Any:
        self.asked.append((name, subset, split, revision))
        if self.failure:
            raise self.failure
        return FakeSplit(split)


class FakeSplit:
    def __init__(self, part: str) -> None:
        self.part = part
        self.features: dict[str, Any] = {
            "image": FakeHub.Image(),
            "label": types.SimpleNamespace(names=list(NAMES)),
        }

    def cast_column(self, name: str, feature: FakeHub.Image) -> FakeSplit:
        self.features = {**self.features, name: feature}
        return self

    def with_format(self, kind: str) -> FakeSplit:
        assert kind == "arrow"
        return self

    def __getitem__(self, rows: slice) -> pa.Table:
        assert not self.features["image"].decode, "decoded images have no bytes"
        return table(self.part)


HUB = HuggingFaceData(source="huggingface", name="animals", revision="v1", subset="small")


def test_a_data_set_of_the_hub_is_read_without_decoding_by_the_library(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hub = FakeHub()
    monkeypatch.setitem(sys.modules, "datasets", hub.module())
    dataset = load_dataset(HUB, seed=0)
    assert dataset.names == NAMES
    assert np.array_equal(dataset.train.images[:, 0, 0, 0], dataset.train.labels)
    assert hub.asked == [("animals", "small", part, "v1") for part in ("train", "test")]


def test_a_data_set_of_the_hub_equals_the_same_parquet_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "datasets", FakeHub().module())
    local, remote = load_dataset(parquet(tmp_path), seed=0), load_dataset(HUB, seed=0)
    assert np.array_equal(local.train.images, remote.train.images)
    assert np.array_equal(local.test.labels, remote.test.labels)


def test_a_whole_commit_hash_is_a_fingerprint_without_the_network(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hub = FakeHub()
    monkeypatch.setitem(sys.modules, "datasets", hub.module())
    pinned = changed(HUB, revision="0123456789" * 4)
    assert pinned.revision in data_fingerprint(pinned)
    assert hub.asked == []
    assert data_fingerprint(HUB).startswith("sha256:")
    assert len(hub.asked) == 2


def test_the_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    message = refusal(HUB)
    assert "needs the package `datasets`" in message
    assert "pip install" in message


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (ConnectionError("no route"), "animals: the Hugging Face Hub cannot be reached: no route"),
        (FileNotFoundError("not found"), "animals: cannot be fetched: not found"),
        (ValueError("Unknown split"), "animals: cannot be fetched: Unknown split"),
        (FakeHub.ExpectedError("broken"), "animals: cannot be fetched: broken"),
    ],
)
def test_what_the_hub_refuses_is_told(
    failure: Exception, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "datasets", FakeHub(failure).module())
    assert said in refusal(HUB)
