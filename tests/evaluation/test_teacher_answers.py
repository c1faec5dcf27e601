"""A teacher's embeddings are the labels of data, and are found again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.core.errors import IntegrityError
from pipeline.core.progress import Silent
from pipeline.data.images import Dataset, ImageSet
from pipeline.data.normalization import Normalization
from pipeline.evaluation.teacher_answers import labeled_by
from pipeline.model.blocknet import BlockNet
from pipeline.settings import Settings
from pipeline.workflows.training_cache import answers_file, evaluation_file


class Teacher(nn.Module):
    """Gives an image's pixels, and counts how often it is asked."""

    asked = 0

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.asked += 1
        return images.flatten(1)


def network(last: nn.Module) -> BlockNet:
    return BlockNet(nn.Identity(), [nn.Identity()], last).eval()


def data(value: int, held_out: int = 0) -> Dataset:
    pixels = np.full((6, 1, 2, 1), value, np.uint8)
    pixels[0] = 0  # whose embedding is zeros alone, which it may be
    images = ImageSet(pixels, np.zeros(6, np.int64))
    apart = ImageSet(pixels[:held_out], images.labels[:held_out]) if held_out else None
    plain = Normalization((0.0,), (1.0,))
    return Dataset(images, images, ("0",), plain, held_out=apart)


def test_labels_are_the_teachers_vectors_and_are_kept(tmp_path: Path) -> None:
    teacher, keep = Teacher(), tmp_path / "kept.safetensors"
    found = labeled_by(network(teacher), data(51, held_out=2), keep, Silent())
    assert found.test.labels.dtype == np.float32
    np.testing.assert_allclose(found.test.labels[:2], [[0, 0], [0.2, 0.2]])
    assert found.held_out is not None
    assert (len(found.held_out.labels), found.names) == (2, ("0", "1"))
    times = teacher.asked
    again = labeled_by(network(teacher), data(51, held_out=2), keep, Silent())
    assert teacher.asked == times
    np.testing.assert_array_equal(again.train.labels, found.train.labels)


def test_they_are_named_by_the_network_the_data_and_how_these_are_normalized(
    tiny_settings: Settings, tmp_path: Path
) -> None:
    plain, other = data(51), replace(data(51), normalization=Normalization((0.5,), (1.0,)))
    files = [
        answers_file(tiny_settings, tmp_path, "one", plain),
        answers_file(tiny_settings, tmp_path, "two", plain),
        answers_file(tiny_settings, tmp_path, "one", other),
        answers_file(tiny_settings.model_copy(update={"seed": 7}), tmp_path, "one", plain),
        evaluation_file(tiny_settings, tmp_path, "one"),
    ]
    assert len(set(files)) == len(files)
    assert answers_file(tiny_settings, tmp_path, "one", data(51)) == files[0]


@pytest.mark.parametrize("damage", ["flipped", "of other data"])
def test_what_was_kept_and_does_not_fit_is_found_again(damage: str, tmp_path: Path) -> None:
    keep = tmp_path / "kept.safetensors"
    found = labeled_by(network(Teacher()), data(51), keep, Silent())
    if damage == "flipped":
        kept = bytearray(keep.read_bytes())
        kept[-1] ^= 1
        keep.write_bytes(kept)
    else:
        labeled_by(network(Teacher()), data(51, held_out=3), keep, Silent())
    again = labeled_by(network(Teacher()), data(51), keep, Silent())
    np.testing.assert_array_equal(again.test.labels, found.test.labels)
    assert again.held_out is None


@pytest.mark.parametrize(
    ("value", "scale", "words"),
    [(0, 1.0, "gives zeros to all 6 images"), (51, 1e39, "gives 6 of 6 images no embedding")],
)
def test_a_teacher_without_embeddings_is_refused(
    value: int, scale: float, words: str, tmp_path: Path
) -> None:
    class Last(Teacher):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return super().forward(images) * scale

    keep = tmp_path / "kept.safetensors"
    with pytest.raises(IntegrityError, match=words):
        labeled_by(network(Last()), data(value), keep, Silent())
    assert not keep.exists()
