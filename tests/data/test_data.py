from __future__ import annotations

import gzip
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from sklearn import datasets

from pipeline.core.errors import UsageError
from pipeline.data.images import ImageSet
from pipeline.data.normalization import Normalization
from pipeline.data.source import data_fingerprint, load_dataset
from pipeline.settings import DigitsData, IdxData


def write_idx(path: Path, array: npt.NDArray[np.uint8]) -> None:
    head = bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape)
    data = head + array.tobytes()
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Fifty training and twenty test images of 6 by 6 pixels with three labels."""
    random = np.random.default_rng(0)
    for part, count, suffix in (("train", 50, ".gz"), ("t10k", 20, "")):
        images = random.integers(0, 256, (count, 6, 6), dtype=np.uint8)
        write_idx(tmp_path / f"{part}-images-idx3-ubyte{suffix}", images)
        labels = (np.arange(count) % 3).astype(np.uint8)
        write_idx(tmp_path / f"{part}-labels-idx1-ubyte{suffix}", labels)
    return tmp_path


def idx(folder: Path, **settings: object) -> IdxData:
    return IdxData.model_validate({"source": "idx", "path": folder, **settings})


def test_digits_are_the_real_scans_split_by_the_seed() -> None:
    settings = DigitsData(source="digits", test_images=597)
    dataset = load_dataset(settings, seed=0)
    assert (len(dataset.train), len(dataset.test)) == (1200, 597)
    assert dataset.image_shape == (1, 8, 8)
    assert dataset.names == tuple("0123456789")
    again = load_dataset(settings, seed=0)
    assert np.array_equal(dataset.train.images, again.train.images)
    other = load_dataset(settings, seed=1)
    assert not np.array_equal(dataset.train.labels, other.train.labels)


def test_digits_are_read_as_scikit_learn_reads_them(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    load = datasets.load_digits
    monkeypatch.setattr(datasets, "load_digits", lambda: calls.append(1) or load())
    settings = DigitsData(source="digits")
    read = load_dataset(settings, seed=0)
    assert not calls
    monkeypatch.setattr("pipeline.data.digits._FILE", "moved.csv")
    theirs = load_dataset(settings, seed=0)
    assert calls
    assert (read.names, read.normalization) == (theirs.names, theirs.normalization)
    for mine, wanted in ((read.train, theirs.train), (read.test, theirs.test)):
        assert (mine.images.dtype, mine.labels.dtype) == (wanted.images.dtype, wanted.labels.dtype)
        assert np.array_equal(mine.images, wanted.images)
        assert np.array_equal(mine.labels, wanted.labels)


def test_training_and_test_images_never_overlap() -> None:
    dataset = load_dataset(DigitsData(source="digits"), seed=3)
    scans = datasets.load_digits().images
    everything = sorted(image.tobytes() for image in np.round(scans * 255 / 16).astype(np.uint8))
    both = [*dataset.train.images, *dataset.test.images]
    assert sorted(image.tobytes() for image in both) == everything


def test_idx_files_are_read_plain_and_gzipped(folder: Path) -> None:
    dataset = load_dataset(idx(folder), seed=0)
    assert (len(dataset.train), len(dataset.test)) == (50, 20)
    assert dataset.image_shape == (1, 6, 6)
    assert dataset.names == ("0", "1", "2")


def test_idx_images_keep_their_labels_when_they_are_shuffled_and_bounded(folder: Path) -> None:
    whole = load_dataset(idx(folder), seed=0).train
    by_image = {
        image.tobytes(): label for image, label in zip(whole.images, whole.labels, strict=True)
    }
    part = load_dataset(idx(folder, train_images=9), seed=0).train
    assert len(part) == 9
    for image, label in zip(part.images, part.labels, strict=True):
        assert by_image[image.tobytes()] == label


def test_images_are_resized_and_channels_kept(folder: Path) -> None:
    assert load_dataset(idx(folder, image_size=12), seed=0).image_shape == (1, 12, 12)


def test_labels_have_the_names_that_the_profile_gives(folder: Path) -> None:
    assert load_dataset(idx(folder, labels=["a", "b", "c"]), seed=0).names == ("a", "b", "c")
    with pytest.raises(UsageError, match=r"names 2 labels.*uses 3"):
        load_dataset(idx(folder, labels=["a", "b"]), seed=0)


def test_a_missing_file_is_named_with_the_way_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="train-images-idx3-ubyte") as caught:
        load_dataset(idx(tmp_path), seed=0)
    assert "apt-get install dataset-fashion-mnist" in caught.value.remedy


def replace_train_images(folder: Path, data: bytes) -> None:
    (folder / "train-images-idx3-ubyte.gz").unlink()
    (folder / "train-images-idx3-ubyte").write_bytes(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0\0\x08",
        b"\0\0\x08\x03" + struct.pack(">3I", 50, 6, 6),  # no pixels
        b"\0\0\x08\x03" + struct.pack(">3I", 50, 6, 6) + bytes(50 * 36 + 1),  # too many
        b"\0\0\x0d\x03" + struct.pack(">3I", 1, 6, 6) + bytes(4 * 36),  # floats
        b"\0\0\x08\x01" + struct.pack(">I", 3) + bytes(3),  # labels where images belong
        b"\0\0\x08\x03" + struct.pack(">3I", 2**32 - 1, 2**32 - 1, 2**32 - 1),
        b"GIF89a" + bytes(100),
    ],
)
def test_what_is_no_idx_file_of_images_is_refused(folder: Path, data: bytes) -> None:
    replace_train_images(folder, data)
    with pytest.raises(UsageError, match="train-images"):
        load_dataset(idx(folder), seed=0)


def test_a_gzip_file_cut_short_is_refused(folder: Path) -> None:
    path = folder / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UsageError, match="train-images"):
        load_dataset(idx(folder), seed=0)


def test_images_and_labels_of_other_counts_are_refused(folder: Path) -> None:
    write_idx(folder / "t10k-labels-idx1-ubyte", np.zeros(19, dtype=np.uint8))
    with pytest.raises(UsageError, match="20 t10k images but 19 labels"):
        load_dataset(idx(folder), seed=0)


def test_the_fingerprint_follows_the_bytes(folder: Path) -> None:
    before = data_fingerprint(idx(folder))
    assert before == data_fingerprint(idx(folder, train_images=3))
    path = folder / "t10k-labels-idx1-ubyte"
    path.write_bytes(path.read_bytes()[:-1] + b"\2")
    assert before != data_fingerprint(idx(folder))


def test_normalized_images_have_mean_0_and_deviation_1_per_channel() -> None:
    images = np.random.default_rng(0).integers(0, 256, (64, 5, 5, 3), dtype=np.uint8)
    images[..., 1] //= 4
    inputs = Normalization.of(images).apply(images)
    assert inputs.shape == (64, 3, 5, 5)
    assert torch.allclose(inputs.mean(dim=(0, 2, 3)), torch.zeros(3), atol=1e-4)
    assert torch.allclose(inputs.std(dim=(0, 2, 3), correction=0), torch.ones(3), atol=1e-4)


def test_a_constant_channel_is_no_division_by_zero() -> None:
    images = np.full((4, 5, 5, 1), 7, dtype=np.uint8)
    assert Normalization.of(images).apply(images).isfinite().all()


def test_inputs_made_by_and_by_are_the_same_to_the_bit() -> None:
    images = np.random.default_rng(0).integers(0, 256, (20, 4, 6, 3), dtype=np.uint8)
    normalization = Normalization.of(images)
    whole, inputs = normalization.apply(images), normalization.inputs(images)
    assert len(inputs) == 20
    for which in (slice(3, 9), torch.tensor([7, 0, 7])):
        assert torch.equal(inputs[which], whole[which])
        assert inputs[which].stride() == whole[which].stride()


def test_large_data_needs_little_memory_beside_itself() -> None:
    images = np.random.default_rng(0).integers(0, 256, (3000, 40, 40, 3), dtype=np.uint8)
    labels = np.zeros(3000, dtype=np.int64)
    tracemalloc.start()
    try:
        normalization = Normalization.of(images)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < images.nbytes
    mean, std = images.mean((0, 1, 2)) / 255, images.std((0, 1, 2)) / 255
    assert normalization.mean == pytest.approx(mean, abs=1e-6)
    assert normalization.std == pytest.approx(std, abs=1e-6)
    resized = ImageSet(images, labels).resized(5).images
    alone = ImageSet(images[2900:], labels[2900:]).resized(5).images
    assert np.array_equal(resized[2900:], alone)


def test_resizing_keeps_flat_images_flat() -> None:
    images = np.full((2, 8, 8, 1), 200, dtype=np.uint8)
    resized = ImageSet(images, np.zeros(2, dtype=np.int64)).resized(13)
    assert resized.images.shape == (2, 13, 13, 1)
    assert (resized.images == 200).all()


def resized(pixels: list[list[int]], size: int) -> list[list[int]]:
    images = np.array(pixels, dtype=np.uint8)[np.newaxis, ..., np.newaxis]
    found = ImageSet(images, np.zeros(1, dtype=np.int64)).resized(size).images[0, ..., 0]
    return [[int(value) for value in row] for row in found]


def test_growing_images_are_interpolated_between_two_pixels_and_rounded() -> None:
    # A quarter and three quarters of the way: 63.75 and 191.25.
    assert resized([[0, 255], [0, 255]], 4) == [[0, 64, 191, 255]] * 4


def test_shrinking_images_leaves_no_pixel_unseen() -> None:
    dot = [[255, *[0] * 7], *[[0] * 8] * 7]
    assert resized(dot, 2)[0][0] > 0


def test_the_seed_chooses_which_training_images_are_held_out() -> None:
    data = load_dataset(DigitsData(source="digits"), seed=0)
    labels = [data.holding_out(100, seed).held_out.labels.tolist() for seed in (1, 1, 2)]
    assert labels[0] == labels[1] != labels[2]
    # None of them is both: together they are what there was.
    apart = data.holding_out(100, seed=1)
    assert apart.held_out is not None
    together = np.concatenate([apart.train.images, apart.held_out.images])
    assert sorted(map(bytes, together)) == sorted(map(bytes, data.train.images))
