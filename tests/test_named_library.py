"""A harness without LiteRT's library, as one for Android is: `profile --library` names it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from pipeline.bundle.verify import Bundle
from pipeline.core.atomic_files import sha256_of
from pipeline.core.errors import UsageError
from pipeline.core.progress import Silent
from pipeline.toolchain.engines import Engines
from pipeline.toolchain.package import DESCRIPTION, Package
from pipeline.workflows import measure_device
from pipeline.workflows.measure_device import ProfileOptions, measure
from tests.fixtures import SMALL_CAMPAIGN


@pytest.fixture
def without_library(harness_package: Package, tmp_path: Path) -> Path:
    root = tmp_path / "harness"
    shutil.copytree(harness_package.root, root)
    described = json.loads((root / DESCRIPTION).read_text())
    path = described["opened"].pop("litert")
    del described["engines"]["litert"]
    described["files"] = [file for file in described["files"] if file["path"] != path]
    (root / path).unlink()
    (root / DESCRIPTION).write_text(json.dumps(described))
    return root


@pytest.mark.parametrize("kind", ["local", "adb"])
def test_litert_is_measured_with_the_library_that_is_named(
    kind: str,
    litert_bundle: Bundle,
    without_library: Path,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(measure_device, "CampaignOptions", SMALL_CAMPAIGN)
    local = f"local:{tmp_path / 'device'}"
    library = Engines.installed().opened["litert"]
    options = ProfileOptions(
        device=local if kind == "local" else request.getfixturevalue("loopback_device"),
        states=("warm",),
        rounds=1,
        fps=(),
        harness=without_library,
        library=library,
    )
    report = measure(litert_bundle.root, options, Silent())
    assert report.context.engine == f"litert {library.name} {sha256_of(library)[:12]}"
    assert [result.passed for result in report.parity] == [True] * 7
    assert report.runs.progress


def test_without_it_there_is_no_engine_and_the_option_is_named(
    litert_bundle: Bundle, without_library: Path, tmp_path: Path
) -> None:
    options = ProfileOptions(device=f"local:{tmp_path / 'device'}", harness=without_library)
    with pytest.raises(UsageError, match="has no engine for litert") as caught:
        measure(litert_bundle.root, options, Silent())
    assert "--library" in caught.value.remedy
