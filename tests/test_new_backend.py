"""A new backend is a folder and a line on either side: build, harness and report need no more."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.bundle.layout import control_folder
from pipeline.bundle.verify import Bundle, open_controls
from pipeline.core.progress import Silent
from pipeline.settings import BACKENDS
from pipeline.toolchain import cmake
from pipeline.workflows.build_bundle import assemble
from pipeline.workflows.measure_device import ProfileOptions, measure
from tests.fixtures import ROOT, settings_from
from tests.toy_backend import MODEL, PROFILE, SPEC


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The harness's sources with the toy's engine alone: its folder, its name, its line."""
    tree = tmp_path_factory.mktemp("sources") / "android_harness"
    apart = shutil.ignore_patterns("build*", "android", "jni", "tests", "fuzz", "soak")
    shutil.copytree(ROOT / "android_harness", tree, ignore=apart)
    shutil.copytree(ROOT / "tests" / "toy_engine", tree / "src" / "engines" / "toy")
    replace(tree / "CMakeLists.txt", "(PWL_ENGINES executorch litert)", "(PWL_ENGINES toy)")
    table, end = tree / "src" / "engines" / "make_engine.cc", "    {nullptr, nullptr},\n"
    line = '    {"toy", [](const EngineOptions&) { return MakeToyEngine(); }},\n'
    replace(table, end, line + end)
    replace(table, "\nnamespace pwl {\n", '\n#include "engines/toy/engine.h"\n\nnamespace pwl {\n')
    return tree


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


@pytest.fixture(scope="module")
def toy(sources: Path) -> Iterator[None]:
    """A table that has the toy and nothing else."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [*BACKENDS]:
            patch.delitem(BACKENDS, name)
        patch.setitem(BACKENDS, SPEC.name, SPEC)
        patch.setattr(cmake, "SOURCES", sources)
        yield


@pytest.fixture(scope="module")
def bundle(toy: None, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("toy")
    (folder / "affine.py").write_text(MODEL)
    settings = settings_from(PROFILE.replace("FILE", str(folder / "affine.py")), folder)
    return assemble(settings, folder / "out", folder / "cache", Silent(), jobs=1).bundle


def test_a_build_writes_its_programs_and_names_its_engine(bundle: Bundle) -> None:
    assert bundle.manifest.backend.name == "toy"
    assert {Path(unit.path).suffix for unit in bundle.manifest.artifacts} == {".toy"}
    assert all(stage.parity.max_rel < 1e-5 for stage in bundle.manifest.stages)
    assert "backend toy\n" in (bundle.root / "loading.plan").read_text()
    controls = open_controls(control_folder(bundle.root), bundle.manifest)
    assert {Path(arm.program.path).suffix for arm in controls.arms} == {".toy"}


def test_a_backend_without_int8_stays_in_float32(bundle: Bundle) -> None:
    choice = bundle.manifest.schedule.precision
    assert choice is not None
    assert (choice.taken, choice.why) == ("S32->T32", "toy has no recipe for int8")


def test_a_harness_is_built_with_its_engine_and_measures_the_bundle(
    bundle: Bundle, tmp_path: Path
) -> None:
    options = ProfileOptions(
        device=f"local:{tmp_path / 'device'}",
        states=("warm",),
        rounds=2,
        work=tmp_path / "work",
        fps=(),
    )
    report = measure(bundle.root, options, Silent())
    assert report.context.harness.engine == "toy 1.0.0"
    assert report.bundle.backend == "toy"
    assert report.validity.verdict != "invalid", report.validity.reasons
    assert all(result.passed for result in report.parity)
    assert [stage.differing for stage in report.stages] == [0, 0, 0]
