"""The backends are data: a new one is a line in a table, and nothing else in Python names it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.bundle.control import control_folder
from pipeline.bundle.verify import open_bundle, open_controls
from pipeline.core.errors import UsageError
from pipeline.core.progress import Silent
from pipeline.settings import BACKENDS, BackendSpec, backend_named
from pipeline.workflows.build_bundle import assemble
from tests.fixtures import ROOT, TINY_PROFILE, settings_from
from tests.toy_backend import SPEC

ENGINES = ROOT / "android_harness" / "src" / "engines"


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> BackendSpec:
    monkeypatch.setitem(BACKENDS, SPEC.name, SPEC)
    return SPEC


@pytest.mark.usefixtures("built_bundle")  # trains the model
def test_a_backend_that_is_one_line_in_the_table_builds_a_bundle(
    toy: BackendSpec, tiny_cache: Path, tmp_path: Path
) -> None:
    settings = settings_from(f'{TINY_PROFILE}\n[lowering]\nbackend = "toy"\n', tmp_path)
    assemble(settings, tmp_path / "out", tiny_cache, Silent(), jobs=1)
    bundle = open_bundle(tmp_path / "out")
    assert bundle.manifest.backend.name == "toy"
    assert {Path(unit.path).suffix for unit in bundle.manifest.artifacts} == {".pt2"}
    assert all(stage.parity.max_rel < 1e-5 for stage in bundle.manifest.stages)
    assert "backend toy\n" in (bundle.root / "loading.plan").read_text()
    controls = open_controls(control_folder(bundle.root), bundle.manifest)
    assert {Path(arm.program.path).suffix for arm in controls.arms} == {".pt2"}


def test_the_command_line_takes_what_the_table_has(toy: BackendSpec) -> None:
    assert backend_named("toy") == "toy"
    with pytest.raises(UsageError, match="onnx") as caught:
        backend_named("onnx")
    assert caught.value.remedy == "one of: executorch, litert, toy"


def test_a_profile_with_an_unknown_backend_is_told_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no backend is called 'onnx': .* executorch, litert"):
        settings_from(f'{TINY_PROFILE}\n[lowering]\nbackend = "onnx"\n', tmp_path)


def test_every_backend_has_an_engine_in_the_harness() -> None:
    table = (ENGINES / "make_engine.cc").read_text()
    for name in BACKENDS:
        assert f'{{"{name}",' in table
        assert (ENGINES / name).is_dir()
