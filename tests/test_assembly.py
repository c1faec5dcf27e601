from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipeline.assembly import assemble
from pipeline.bundle.verify import Bundle, open_bundle
from pipeline.progress import Silent
from pipeline.settings import Settings
from tests.bundle.test_bundle import digest, flip_bit
from tests.fixtures import TINY_PROFILE, settings_from


class Titles(Silent):
    """Notes what work was announced."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def task(self, title: str, total: float):  # type: ignore[no-untyped-def]
        self.seen.append(title)
        return super().task(title, total)


def test_the_same_profile_gives_the_same_bytes_from_nothing(
    built_bundle: Bundle, tiny_settings: Settings, tmp_path: Path
) -> None:
    progress = Titles()
    made = assemble(tiny_settings, tmp_path / "out", tmp_path / "cache", progress)
    assert {"train teacher", "distil (joint)", "evaluate", "lower"} <= set(progress.seen)
    assert digest(made.bundle.root) == digest(built_bundle.root)
    control = f"{built_bundle.root}.control"
    assert digest(Path(f"{made.bundle.root}.control")) == digest(Path(control))


def test_an_unchanged_build_makes_nothing(
    built_bundle: Bundle, tiny_settings: Settings, tiny_cache: Path
) -> None:
    progress = Titles()
    made = assemble(tiny_settings, built_bundle.root, tiny_cache, progress)
    assert not made.fresh
    assert progress.seen == []


@pytest.mark.parametrize("what", ["damaged", "removed"])
def test_a_build_makes_good_what_happened_to_its_output(
    what: str, built_bundle: Bundle, tiny_settings: Settings, tiny_cache: Path, bundle_copy: Path
) -> None:
    if what == "damaged":
        flip_bit("units/teacher-1.pte")(bundle_copy)
    else:
        shutil.rmtree(bundle_copy)
    progress = Titles()
    made = assemble(tiny_settings, bundle_copy, tiny_cache, progress)
    assert made.fresh
    assert progress.seen == []  # trained weights and programs were still there
    assert digest(bundle_copy) == digest(built_bundle.root)


def test_damaged_trained_weights_are_made_again(
    built_bundle: Bundle, tiny_settings: Settings, tiny_cache: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    shutil.copytree(tiny_cache, cache)
    for path in (cache / "training").glob("*.safetensors"):
        path.write_bytes(path.read_bytes()[:200])
    assemble(tiny_settings, tmp_path / "out", cache, Silent())
    assert digest(tmp_path / "out") == digest(built_bundle.root)


def test_another_distillation_keeps_the_teacher(
    built_bundle: Bundle, tiny_cache: Path, tmp_path: Path
) -> None:
    text = TINY_PROFILE.replace('recipe = "joint"', 'recipe = "reference"')
    cache = tmp_path / "cache"
    shutil.copytree(tiny_cache, cache)
    progress = Titles()
    made = assemble(settings_from(text, tmp_path), tmp_path / "out", cache, progress)
    assert "distil (reference)" in progress.seen
    assert "train teacher" not in progress.seen
    assert made.bundle.manifest.id != built_bundle.manifest.id
    teachers = {a.id: a.sha256 for a in built_bundle.manifest.artefacts if a.role == "teacher"}
    again = open_bundle(tmp_path / "out").manifest.artefacts
    assert teachers == {a.id: a.sha256 for a in again if a.role == "teacher"}
