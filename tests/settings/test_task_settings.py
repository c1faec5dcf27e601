"""What a profile cannot ask for together with a task is refused when it is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.core.errors import UsageError
from tests.fixtures import TINY_PROFILE, settings_from

PROFILE = """
name = "maps"
[data]
source = "npz"
path = "scenes.npz"
[task]
kind = "dense"
[model]
source = "python:segmenter.py:model"
[training]
distillation = { recipe = "joint", epochs = 1 }
"""


def refused(text: str, folder: Path) -> str:
    (folder / "scenes.npz").touch()
    (folder / "segmenter.py").touch()
    with pytest.raises(UsageError) as error:
        settings_from(text, folder)
    return error.value.what


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("teacher = { epochs = 2, head_epochs = 1 }", "leave head_epochs out"),
        ('[model.teacher]\nhead = "replace"', 'leave head = "replace" out'),
    ],
)
def test_what_would_not_work_with_label_maps_is_refused(
    more: str, words: str, tmp_path: Path
) -> None:
    found = refused(PROFILE + more, tmp_path)
    assert 'task.kind = "dense": ' in found
    assert words in found


def test_families_and_their_data_give_no_label_maps(tmp_path: Path) -> None:
    found = refused(TINY_PROFILE + '[task]\nkind = "dense"\n', tmp_path)
    assert "its networks are your own or a library's" in found
    assert "its data are an .npz file or a folder" in found
    assert "leave image_size out of [data]" in found


def test_a_task_without_pixels_ignores_none(tmp_path: Path) -> None:
    text = TINY_PROFILE + "[task]\nignore_index = 0\n"
    assert 'ignore_index is of kind = "dense" alone' in refused(text, tmp_path)


@pytest.mark.parametrize(
    ("floor", "words"),
    [
        ("least_mean_iou = 0.5", 'least_mean_iou is of task.kind = "dense" alone'),
        ("least_cosine = 0.5", 'least_cosine is of task.kind = "embedding" alone'),
    ],
)
def test_a_floor_of_another_task_is_refused(floor: str, words: str, tmp_path: Path) -> None:
    text = TINY_PROFILE.replace("[bundle]", f"[bundle]\n{floor}")
    assert words in refused(text, tmp_path)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("teacher = { epochs = 2 }", "leave [training.teacher] out"),
        ("distillation.alpha = 0.5", "leave alpha and temperature out"),
        ("[bundle]\nleast_top1 = 0.5", "name least_cosine in place of least_top1"),
    ],
)
def test_what_embeddings_have_no_use_for_is_refused(more: str, words: str, tmp_path: Path) -> None:
    text = PROFILE.replace('"dense"', '"embedding"').replace(
        'distillation = { recipe = "joint", epochs = 1 }',
        'distillation.recipe = "joint"\ndistillation.epochs = 1',
    )
    found = refused(text + more, tmp_path)
    assert 'task.kind = "embedding": ' in found
    assert words in found
