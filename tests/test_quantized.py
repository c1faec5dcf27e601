"""A bundle with an int8 student and an int8 control arm, from profile to report."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipeline.bundle.control import ControlArm
from pipeline.bundle.manifest import Manifest
from pipeline.bundle.verify import Bundle
from pipeline.core.progress import Silent
from pipeline.report.schema import Report
from pipeline.settings import BACKENDS, for_backend
from pipeline.workflows.build_bundle import Build, assemble
from tests.fixtures import TINY_PROFILE, measured_here, settings_from

PROFILE = f"""{TINY_PROFILE}
[lowering.precision]
student = "int8"
calibration_images = 32

[[arm]]
name = "teacher8"
route = "teacher"
precision = "int8"
"""
RECIPE = {"executorch": "static_wi8_ai8", "litert": "dynamic_wi8_afp32"}


@pytest.fixture(scope="module", params=BACKENDS)
def built(
    request: pytest.FixtureRequest,
    tiny_cache: Path,
    either_bundles: dict[str, Bundle],
    tmp_path_factory: pytest.TempPathFactory,
) -> Build:
    """The tiny model, trained before, with an int8 student: all that is int8 is lowered here."""
    folder = tmp_path_factory.mktemp("quantized")
    settings = for_backend(settings_from(PROFILE, folder), request.param)
    shutil.copytree(tiny_cache, folder / "cache")
    return assemble(settings, folder / "tiny", folder / "cache", Silent(), jobs=1)


@pytest.fixture(scope="module")
def either_bundles(built_bundle: Bundle, litert_bundle: Bundle) -> dict[str, Bundle]:
    """The same model in float32, by backend; building it filled the cache."""
    return {"executorch": built_bundle, "litert": litert_bundle}


@pytest.fixture(scope="module")
def report(built: Build) -> Report:
    return measured_here(built.bundle)


def recipe_of(manifest: Manifest) -> str:
    return RECIPE[manifest.backend.name]


def arm(built: Build, name: str) -> ControlArm:
    return next(arm for arm in built.controls.arms if arm.name == name)


def test_each_unit_says_what_it_computes_with(built: Build) -> None:
    manifest = built.bundle.manifest
    assert manifest.backend.precision == "student int8, teacher fp32"
    for unit in manifest.artifacts:
        assert unit.precision == (recipe_of(manifest) if unit.role == "student" else "fp32")
        assert (unit.parity.sqnr_db is not None) == (unit.role == "student")
    assert arm(built, "teacher8").precision == recipe_of(manifest)
    assert arm(built, "teacher").precision == "fp32"


def test_what_stays_float32_has_the_bytes_of_a_float32_bundle(
    built: Build, either_bundles: dict[str, Bundle]
) -> None:
    plain = either_bundles[built.bundle.manifest.backend.name].manifest
    for unit in built.bundle.manifest.artifacts:
        same = plain.artifact(unit.id).sha256 == unit.sha256
        assert same == (unit.role != "student")
    assert plain.golden.outputs[-1].sha256 == built.bundle.manifest.golden.outputs[-1].sha256


def test_noise_is_stated_and_limited(built: Build) -> None:
    manifest = built.bundle.manifest
    assert manifest.golden.least_sqnr_db == 20
    *mixed, final = manifest.stages
    assert all(stage.parity.sqnr_db >= 20 for stage in mixed)
    assert final.parity.sqnr_db is None
    assert final.parity.max_rel <= 1e-4
    assert arm(built, "teacher8").parity.sqnr_db >= 20


def test_accuracy_is_that_of_the_programs(built: Build) -> None:
    manifest = built.bundle.manifest
    *mixed, final = manifest.stages
    assert all(0.9 <= stage.accuracy.agreement <= 1 for stage in mixed)
    assert final.accuracy.agreement is None
    assert arm(built, "teacher8").accuracy.agreement >= 0.9
    assert arm(built, "student").accuracy.agreement is None


def test_the_device_answers_as_the_programs_did_on_the_host(report: Report) -> None:
    assert report.validity.verdict != "invalid"
    by_name = {result.name: result for result in report.parity}
    assert by_name["stage-0"].least_sqnr_db == by_name["teacher8"].least_sqnr_db == 20
    assert by_name["stage-3"].least_sqnr_db is None
    assert all(result.passed for result in report.parity)
    assert all(stage.differing == 0 for stage in report.stages)
    assert report.metrics["parity_over_tolerance.stage-0"].median < 1
    assert "parity_sqnr_db.teacher8" in report.metrics
    assert report.bundle.precision == "student int8, teacher fp32"


def test_the_same_profile_gives_the_same_bytes(
    built: Build, tiny_cache: Path, tmp_path: Path
) -> None:
    settings = for_backend(settings_from(PROFILE, tmp_path), built.bundle.manifest.backend.name)
    # Float32 is made twice from nothing in test_build_bundle.py; nothing here has int8 yet.
    shutil.copytree(tiny_cache, tmp_path / "cache")
    again = assemble(settings, tmp_path / "tiny", tmp_path / "cache", Silent(), jobs=1)
    assert again.rebuilt
    assert again.bundle.manifest.id == built.bundle.manifest.id
