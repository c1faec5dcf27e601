"""A model that is broken does not leave unseen: build, manifest and inspect carry its warnings."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.bundle.manifest import Manifest
from pipeline.core.errors import IntegrityError
from pipeline.core.progress import Silent
from pipeline.inspect import inspect
from pipeline.settings import BundleSettings, Settings
from pipeline.workflows.build_bundle import assemble
from tests.fixtures import settings_from
from tests.ingest.test_stated_normalization import MODEL, PROFILE
from tests.said_lines import SaidLines


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("untrained")


@pytest.fixture(scope="module")
def untrained(folder: Path) -> Settings:
    """A profile whose model is random although it should have come trained."""
    (folder / "net.py").write_text(MODEL.replace("STATED", "None"))
    source = f"python:{folder / 'net.py'}:model"
    text = PROFILE.format(data="", source=source, model="[bundle]\ngolden_images = 2")
    return settings_from(text, folder)


@pytest.fixture(scope="module")
def said(untrained: Settings, folder: Path) -> list[str]:
    """What the build of it says."""
    progress = SaidLines()
    assemble(untrained, folder / "bundle", folder / "cache", progress, jobs=1)
    return progress.lines


def manifest(folder: Path) -> Manifest:
    return Manifest.model_validate_json((folder / "bundle" / "manifest.json").read_text())


def test_build_and_manifest_say_that_a_teacher_is_at_chance(said: list[str], folder: Path) -> None:
    warnings = manifest(folder).warnings
    assert {"normalization", "teacher", "chance"} <= {warning.kind for warning in warnings}
    assert [f"warning: {warning.text}" for warning in warnings] == said


def test_a_build_that_has_nothing_to_do_says_it_again(
    said: list[str], untrained: Settings, folder: Path
) -> None:
    progress = SaidLines()
    built = assemble(untrained, folder / "bundle", folder / "cache", progress)
    assert not built.rebuilt
    assert progress.lines == said


def test_inspect_shows_warnings_recall_and_the_whole_preprocessing(
    said: list[str], folder: Path
) -> None:
    result = CliRunner().invoke(inspect, [str(folder / "bundle")])
    shown = " ".join(result.stdout.split())
    assert result.exit_code == 0
    assert all(line in shown for line in said)
    assert "images: channels gray, 8x8 already, / 255" in shown
    assert "computed from 1,747 training images" in shown
    assert "final stage, recall: 0 " in shown


def test_a_floor_ends_the_build_before_anything_is_written(
    said: list[str], untrained: Settings, folder: Path
) -> None:
    asked = untrained.model_copy(update={"bundle": BundleSettings(least_balanced=0.9)})
    with pytest.raises(IntegrityError, match=r"least_balanced = 0\.9"):
        assemble(asked, folder / "never", folder / "cache", Silent())
    assert not (folder / "never").exists()


def test_the_manifest_says_how_an_app_prepares_an_image(said: list[str], folder: Path) -> None:
    found = manifest(folder).input
    assert found.preprocessing.model_dump() == {
        "orientation": "as-is",
        "color_space": "as-is",
        "background": None,
        "color_order": "gray",
        "crop": "none",
        "resize": "none",
        "filter": None,
        "height": 8,
        "width": 8,
        "scale": 255,
        "normalized_by": "training-images",
        "training_images": 1747,
    }
    assert len(found.normalization.mean) == 1


def test_every_stage_has_a_recall_for_every_label(said: list[str], folder: Path) -> None:
    for stage in manifest(folder).stages:
        recall = [value for value in stage.accuracy.recall if value is not None]
        assert len(recall) == 10
        assert stage.accuracy.balanced == pytest.approx(sum(recall) / 10, abs=1e-5)
