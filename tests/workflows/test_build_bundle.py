from __future__ import annotations

import errno
import shutil
from pathlib import Path

import pytest

from pipeline.bundle.layout import control_folder
from pipeline.bundle.verify import Bundle, open_bundle, open_controls
from pipeline.core.progress import Silent
from pipeline.device.local import LocalDevice
from pipeline.harness.session import HarnessSession
from pipeline.settings import Settings
from pipeline.toolchain.package import Package
from pipeline.workflows.build_bundle import assemble
from pipeline.workflows.schedule_model import scheduled_model
from tests.bundle.test_bundle import digest, flip_bit
from tests.fixtures import TINY_PROFILE, deployment_in, settings_from
from tests.resealed import reseal
from tests.said_lines import SaidLines

#: What is announced of a distillation, to its end.
DISTILLED = ["teacher's features", "distil (joint)", "evaluate"]


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
    assert not made.rebuilt
    assert progress.seen == []


@pytest.mark.parametrize("what", ["damaged", "damaged arm", "changed", "removed"])
def test_a_build_makes_good_what_happened_to_its_output(
    what: str, built_bundle: Bundle, tiny_settings: Settings, tiny_cache: Path, bundle_copy: Path
) -> None:
    if what == "damaged":
        flip_bit("units/teacher-1.pte")(bundle_copy)
    elif what == "damaged arm":
        flip_bit("student.pte")(control_folder(bundle_copy))
    elif what == "changed":
        flip_bit("golden/stage-1.f32")(bundle_copy)
        reseal(bundle_copy)
    else:
        shutil.rmtree(bundle_copy)
    progress = Titles()
    made = assemble(tiny_settings, bundle_copy, tiny_cache, progress)
    assert made.rebuilt
    assert progress.seen == []  # trained weights and programs were still there
    assert digest(bundle_copy) == digest(built_bundle.root)
    assert digest(control_folder(bundle_copy)) == digest(control_folder(built_bundle.root))


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
    shutil.copytree(tiny_cache / "training", tmp_path / "training")
    progress = Titles()
    scheduled_model(settings_from(text, tmp_path), tmp_path, progress)
    assert "distil (reference)" in progress.seen
    assert "train teacher" not in progress.seen


def test_a_bundle_of_another_distillation_has_the_same_teacher(
    built_bundle: Bundle, distilled_again: dict[str, Bundle]
) -> None:
    before, again = built_bundle.manifest, distilled_again["executorch"].manifest
    assert before.id != again.id
    for role, same in (("teacher", True), ("student", False)):
        programs = [
            {
                artifact.id: artifact.sha256
                for artifact in manifest.artifacts
                if artifact.role == role
            }
            for manifest in (before, again)
        ]
        assert (programs[0] == programs[1]) == same


@pytest.mark.usefixtures("built_bundle")  # fills the cache
def test_more_golden_than_evaluation_images_make_a_bundle_that_a_device_takes(
    tiny_cache: Path, harness_package: Package, tmp_path: Path
) -> None:
    said = SaidLines()
    text = TINY_PROFILE.replace("evaluation_images = 40", "evaluation_mb = 0.00015")  # 2.3 images
    made = assemble(settings_from(text, tmp_path), tmp_path / "out", tiny_cache, said)
    manifest = open_bundle(made.bundle.root).manifest
    assert (manifest.golden.images, manifest.golden.inputs.bytes) == (3, 3 * 8 * 8 * 4)
    assert (manifest.evaluation.count, manifest.evaluation.images.bytes) == (2, 2 * 8 * 8)
    assert [line for line in said.lines if line.startswith("2 of ")] == [
        "2 of 1500 test images go into the bundle, to be evaluated on devices: "
        "bundle.evaluation_mb = 0.00015"
    ]
    (tmp_path / "bundle").symlink_to(made.bundle.root)
    session = HarnessSession(
        LocalDevice(tmp_path), deployment_in(tmp_path, harness_package, made.bundle.manifest)
    )
    assert len([sample for sample in session.parity() if sample.name == "stage-0"]) == 3


def test_a_bundle_and_its_controls_change_together_or_not_at_all(
    bundle_copy: Path, tiny_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = digest(bundle_copy), digest(control_folder(bundle_copy))
    text = TINY_PROFILE.replace('name = "tiny"', 'name = "other"')

    def full(self: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        assemble(settings_from(text, tmp_path), bundle_copy, tiny_cache, Silent())
    assert (digest(bundle_copy), digest(control_folder(bundle_copy))) == before
    monkeypatch.undo()
    assemble(settings_from(text, tmp_path), bundle_copy, tiny_cache, Silent())
    manifest = open_bundle(bundle_copy).manifest
    assert manifest.name == "other"
    assert open_controls(control_folder(bundle_copy), manifest).bundle == manifest.id
    assert {path.name for path in bundle_copy.parent.iterdir()} >= {"copy", "copy.control"}
    assert not list(bundle_copy.parent.glob(".pwl-*"))
