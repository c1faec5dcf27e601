"""Data sets in one .npz file, and files that are none."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.core.errors import UsageError
from pipeline.data.images import Dataset
from pipeline.data.normalization import Normalization
from pipeline.data.source import data_fingerprint, load_dataset
from pipeline.settings import NpzData

RANDOM = np.random.default_rng(0)
COLOR = RANDOM.integers(0, 256, (12, 6, 5, 3), dtype=np.uint8)
LABELS = np.arange(12) % 3
SOUND = RANDOM.normal(size=(12, 2, 7))
TEXT = np.arange(60).reshape(12, 5)
ARRAYS = {"x_train": COLOR, "y_train": LABELS, "x_test": COLOR[:6], "y_test": LABELS[:6]}


def load(folder: Path, settings: dict[str, Any] | None = None, **arrays: Any) -> Dataset:
    np.savez_compressed(folder / "data.npz", **(ARRAYS | arrays))
    return read(folder, **(settings or {}))


def read(folder: Path, **settings: Any) -> Dataset:
    return load_dataset(NpzData(source="npz", path=folder / "data.npz", **settings), 3)


def test_images_and_labels_are_those_of_the_arrays(tmp_path: Path) -> None:
    found = load(tmp_path)
    assert (len(found.train), len(found.test), found.names) == (12, 6, ("0", "1", "2"))
    assert found.image_shape == (3, 6, 5)
    pairs = {image.tobytes(): label for image, label in zip(COLOR, LABELS, strict=True)}
    for image, label in zip(found.train.images, found.train.labels, strict=True):
        assert pairs[image.tobytes()] == label


def test_gray_images_columns_of_labels_and_other_names_are_taken(tmp_path: Path) -> None:
    gray = np.asfortranarray(COLOR[..., 0])
    settings = {"train_inputs": "mine", "labels": ("a", "b", "c", "d"), "image_size": 8}
    found = load(tmp_path, settings, mine=gray, x_test=gray[:6], y_test=LABELS[:6, np.newaxis])
    assert (found.image_shape, len(found.names)) == ((1, 8, 8), 4)
    plain = load(tmp_path, {"train_images": 5}, x_train=gray, x_test=gray[:6])
    assert {image.tobytes() for image in plain.train.images} <= {row.tobytes() for row in gray}
    assert len(plain.train) == 5


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.dtype(">f4")])
@pytest.mark.parametrize("shape", [(7,), (2, 7), (2, 7, 1), (1, 2, 7, 1)])
def test_values_of_any_shape_are_taken_as_they_are(
    kind: Any, shape: tuple[int, ...], tmp_path: Path
) -> None:
    values = np.resize(SOUND, (12, *shape)).astype(kind)
    found = load(tmp_path, {"test_images": 4}, x_train=values, x_test=values[:6])
    assert (found.tensors, found.image_shape) == (True, shape)
    assert (len(found.train), len(found.test)) == (12, 4)
    inputs = found.normalization.apply(found.train.images)
    assert (inputs.dtype, tuple(inputs.shape)) == (torch.float32, (12, *shape))
    given = sorted(row.tobytes() for row in values.astype(np.float32))
    assert sorted(row.tobytes() for row in inputs.contiguous().numpy()) == given


@pytest.mark.parametrize(
    ("mean", "std"), [((1.5,), (4.0,)), ((1.5, -80.0), (4.0, 0.25))], ids=["all", "channels"]
)
def test_values_are_standardized_as_the_table_says(
    mean: tuple[float, ...], std: tuple[float, ...], tmp_path: Path
) -> None:
    found = load(tmp_path, {"mean": mean, "std": std}, x_train=SOUND, x_test=SOUND[:6])
    inputs = found.normalization.inputs(found.train.images)[torch.arange(3)].numpy()
    axes = (len(mean), 1)
    wanted = (found.train.images[:3] - np.reshape(mean, axes)) / np.reshape(std, axes)
    np.testing.assert_allclose(inputs, wanted, rtol=1e-5)


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"mean": (0.5,) * 3, "std": (1.0,) * 3}, "x_train holds float32 [12, 2, 7], but mean"),
        ({"image_size": 8}, "no images: image_size does not resize them"),
    ],
)
def test_what_is_said_of_values_has_to_fit_them(
    settings: dict[str, Any], what: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError) as refused:
        load(tmp_path, settings, x_train=SOUND, x_test=SOUND[:6])
    assert what in refused.value.what


@pytest.mark.parametrize("kind", [np.int64, np.int32, np.uint32])
def test_whole_numbers_are_tokens(kind: Any, tmp_path: Path) -> None:
    found = load(tmp_path, x_train=TEXT.astype(kind), x_test=TEXT[:6].astype(kind))
    assert (found.tensors, found.image_shape, found.vocabulary) == (True, (5,), 60)
    inputs = found.normalization.apply(found.train.images)
    assert inputs.dtype == torch.float32
    assert sorted(map(tuple, inputs.tolist())) == sorted(map(tuple, TEXT.tolist()))
    spec = found.spec
    assert spec.kind_of(TEXT) == "tokens"
    assert spec.kind_of(TEXT.astype(np.float32)) is None
    assert spec.kind_of(TEXT + 1) is None
    assert str(spec) == "this model takes whole numbers [n, 5] from 0 to 59"
    assert load(tmp_path, {"vocabulary": 90}, x_train=TEXT, x_test=TEXT[:6]).vocabulary == 90


@pytest.mark.parametrize(
    ("settings", "values", "what"),
    [
        ({}, TEXT - 1, "x_train: tokens go from -1 to 58"),
        ({}, TEXT + 2**24, "x_train: tokens go from 16777216 to 16777275"),
        ({}, TEXT[:, 0], "x_train is [12]"),
        ({"vocabulary": 59}, TEXT, "data.vocabulary = 59, but"),
        ({"vocabulary": 59}, SOUND, "holds float32, no tokens"),
        ({"mean": (1.0,), "std": (1.0,)}, TEXT, "mean and std are none of tokens"),
        ({"image_size": 8}, TEXT, "no images: image_size"),
    ],
)
def test_tokens_that_cannot_be_looked_up_are_named(
    settings: dict[str, Any], values: Any, what: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError) as refused:
        load(tmp_path, settings, x_train=values, x_test=values[:6])
    assert what in refused.value.what


def test_mean_and_std_of_images_stay_on_their_scale(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a mean is from 0 to 1"):
        load(tmp_path, {"mean": (123.0,) * 3, "std": (0.5,) * 3})


def test_values_are_no_images(tmp_path: Path) -> None:
    found = load(tmp_path, x_train=SOUND, x_test=SOUND[:6])
    with pytest.raises(UsageError, match=r"tensors \[2, 7\], which are no images: augm") as refused:
        found.require_images("augmentation")
    assert "are uint8 [n, height, width] or" in refused.value.remedy
    with pytest.raises(UsageError, match="mean and std that the model states"):
        found.normalized(Normalization((0.5, 0.5), (1.0, 1.0)), by="model")
    with pytest.raises(UsageError, match="all 12 training images are the same"):
        load(tmp_path, x_train=np.ones_like(SOUND), x_test=SOUND[:6])


def test_a_model_of_values_says_what_it_takes(tmp_path: Path) -> None:
    spec = load(tmp_path, x_train=SOUND, x_test=SOUND[:6]).spec
    assert spec.kind_of(SOUND.astype(np.float32)) == "normalized"
    assert spec.kind_of(SOUND[:, :1].astype(np.float32)) is None
    assert spec.kind_of(COLOR) is None
    assert str(spec) == "this model takes float32 [n, 2, 7] (normalized)"


@pytest.mark.parametrize(
    ("arrays", "what", "remedy"),
    [
        ({"y_train": np.eye(12)}, "holds float64 [12, 12]", "y.argmax(axis=1)"),
        ({"y_train": np.ones(12)}, "holds float64 [12]", "y.astype('int64')"),
        ({"y_train": np.ones(12) > 0}, "holds bool [12]", "y.astype('int64')"),
        ({"y_train": np.array(["a"] * 12)}, "holds <U1 [12]", "return_inverse=True"),
        ({"y_test": np.zeros(0, np.int64)}, "y_test is [0]: it holds no label", "save some"),
        ({"x_train": SOUND[:, 0, 0]}, "x_train is [12]", "x[:, None]"),
    ],
)
def test_what_is_nearly_right_is_refused_with_what_makes_it_right(
    arrays: dict[str, Any], what: str, remedy: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError) as refused:
        load(tmp_path, **({"x_train": SOUND, "x_test": SOUND[:6]} | arrays))
    assert what in refused.value.what
    assert remedy in refused.value.remedy


def test_the_nearest_name_of_an_array_is_given(tmp_path: Path) -> None:
    values = {"X_train": SOUND, "x_test": SOUND, "y_train": np.arange(12), "y_test": np.arange(12)}
    np.savez(tmp_path / "data.npz", **values)
    settings = NpzData(source="npz", path=tmp_path / "data.npz")
    with pytest.raises(UsageError, match=r"no array 'x_train' in it; did you mean 'X_train'\?"):
        load_dataset(settings, 1)


def test_another_file_has_another_name(tmp_path: Path) -> None:
    settings = NpzData(source="npz", path=tmp_path / "data.npz")
    names = []
    for labels in (LABELS, LABELS, LABELS[::-1]):
        load(tmp_path, y_train=labels)
        names.append(data_fingerprint(settings))
    assert names[0] == names[1] != names[2]


@pytest.mark.parametrize(
    ("arrays", "what"),
    [
        ({"x_train": COLOR / np.float32(255)}, "x_train holds float32 and x_test uint8"),
        ({"x_train": SOUND[:, :1]}, "is [1, 7] in x_train and [6, 5, 3] in x_test"),
        ({"x_train": np.where(SOUND > 2, np.nan, SOUND)}, "x_train: 4 of 12 inputs hold NaN"),
        ({"x_train": SOUND * 1e300}, "x_train: 12 of 12 inputs hold NaN, infinity or more"),
        ({"x_train": (SOUND * 9).astype(np.int16)}, "x_train holds int16 [12, 2, 7]"),
        ({"x_train": SOUND[:, 0, 0]}, "x_train is [12]"),
        ({"x_train": SOUND[:, :0]}, "x_train is [12, 0, 7]"),
        ({"x_train": SOUND[:0]}, "x_train is [0, 2, 7]: it holds no input"),
        ({"x_train": COLOR[..., 0, 0]}, "x_train is uint8 [12, 6]"),
        ({"x_train": COLOR.transpose(0, 3, 1, 2)}, "[12, 3, 6, 5]: images of 5 channels, 3 pixels"),
        ({"x_train": COLOR[:0], "y_train": LABELS[:0]}, "x_train is uint8 [0, 6, 5, 3]"),
        ({"x_test": COLOR[:6, :4]}, "[6, 5, 3] in x_train and [4, 5, 3] in x_test"),
        ({"y_train": LABELS[:9]}, "12 inputs in x_train, but 9 labels in y_train"),
        ({"y_train": LABELS - 1}, "y_train goes from -1 to 1"),
        ({"y_train": LABELS + 70_000}, "y_train goes from 70000 to 70002"),
        ({"y_train": LABELS.astype(float)}, "y_train holds float64 [12]"),
        ({"y_train": np.eye(12, dtype=np.int64)}, "y_train holds int64 [12, 12]"),
        (
            {"y_train": np.array([[0]] * 11 + [[1, 2]], dtype=object)},
            "y_train holds Python objects",
        ),
    ],
)
def test_arrays_of_another_kind_are_named(
    arrays: dict[str, Any], what: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError) as refused:
        load(tmp_path, **arrays)
    assert what in refused.value.what
    assert refused.value.remedy


def test_what_is_no_whole_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        read(tmp_path)
    load(tmp_path)
    whole = (tmp_path / "data.npz").read_bytes()
    for text in (b"", b"PK", whole[:-30], whole[: len(whole) // 2], whole[:200] + bytes(60)):
        (tmp_path / "data.npz").write_bytes(text)
        with pytest.raises(UsageError, match=r"not a whole \.npz file"):
            read(tmp_path)
    with pytest.raises(UsageError, match="there is no array 'x_train'") as refused:
        np.savez(tmp_path / "data.npz", images=COLOR)
        read(tmp_path)
    assert "there are: images" in refused.value.remedy


def test_promises_are_held_against_what_is_there(tmp_path: Path) -> None:
    """A header of a few bytes may promise terabytes."""
    load(tmp_path)
    for change, what in (
        ((b"(12, 6, 5, 3)", b"(12,6,5,9999)"), "x_train promises 3599640 bytes, 1080 are there"),
        ((b"'descr'", b"'descx'"), "x_train is no NumPy array"),
        ((b"NUMPY", b"NUMPX"), "x_train is no NumPy array"),
        ((b"|u1", b"|O8"), "x_train"),
    ):
        content = io.BytesIO()
        np.save(content, COLOR)
        with zipfile.ZipFile(tmp_path / "data.npz", "w") as archive:
            archive.writestr("x_train.npy", content.getvalue().replace(*change))
        with pytest.raises(UsageError) as refused:
            read(tmp_path)
        assert what in refused.value.what
