"""Bundles with int8 programs and an int8 control arm, from profile to report, plan by plan."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from pipeline.bundle.asset_packs import asset_packs
from pipeline.bundle.control import ControlArm
from pipeline.bundle.layout import MANIFEST
from pipeline.bundle.manifest import Manifest, Stage
from pipeline.bundle.verify import Bundle, open_bundle
from pipeline.core.errors import IntegrityError
from pipeline.core.progress import Silent
from pipeline.report.arms import accuracy_of
from pipeline.report.render.bundle_table import print_bundle
from pipeline.report.render.html import report_page
from pipeline.report.schema import Report
from pipeline.settings import (
    BACKENDS,
    AndroidSettings,
    BackendName,
    PrecisionSettings,
    for_backend,
)
from pipeline.workflows import program_scores
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
LADDER = PROFILE.replace('student = "int8"', 'plan = "S8->T8->T32"')
AUTO = PROFILE.replace('student = "int8"', 'plan = "auto"')
#: What no backend has a part in, on the one that lowers faster.
litert = pytest.mark.parametrize("built", ["litert"], indirect=True)
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
    shutil.copytree(tiny_cache, folder / "cache")
    return assembled(PROFILE, request.param, folder, "tiny")


def assembled(text: str, backend: BackendName, folder: Path, name: str) -> Build:
    """A bundle of a profile, with what is in the folder's cache."""
    settings = for_backend(settings_from(text, folder), backend)
    return assemble(settings, folder / name, folder / "cache", Silent(), jobs=1)


@pytest.fixture(scope="module")
def ladder(built: Build) -> Build:
    """The same, whose teacher arrives in int8 and then in float32: only the former is lowered."""
    return assembled(LADDER, backend_of(built), built.out.parent, "ladder")


@pytest.fixture(scope="module")
def either_bundles(built_bundle: Bundle, litert_bundle: Bundle) -> dict[str, Bundle]:
    """The same model in float32, by backend; building it filled the cache."""
    return {"executorch": built_bundle, "litert": litert_bundle}


@pytest.fixture(scope="module")
def report(built: Build) -> Report:
    return measured_here(built.bundle)


@pytest.fixture(scope="module")
def climbed(ladder: Build) -> Report:
    return measured_here(ladder.bundle)


def backend_of(build: Build) -> BackendName:
    return build.bundle.manifest.backend.name


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
    assert [stage.precision for stage in report.stages] == ["int8", "mixed", "mixed", "fp32"]
    assert "latency_final_over_teacher" in report.ratios
    assert not {name for name in report.ratios if name.endswith(("_student", "_teacher8"))} - {
        f"{kind}_over_{arm}"
        for kind in ("ttfi", "process", "peak_rss")
        for arm in ("student", "teacher8")
    }
    assert report.metrics["parity_over_tolerance.stage-0"].median < 1
    assert "parity_sqnr_db.teacher8" in report.metrics
    assert report.bundle.precision == "student int8, teacher fp32"


def test_the_same_profile_gives_the_same_bytes(
    ladder: Build, tiny_cache: Path, tmp_path: Path
) -> None:
    # Float32 is made twice from nothing in test_build_bundle.py; nothing here has int8 yet.
    shutil.copytree(tiny_cache, tmp_path / "cache")
    text = TINY_PROFILE + LADDER.removeprefix(TINY_PROFILE).partition("[[arm]]")[0]
    again = assembled(text, backend_of(ladder), tmp_path, "tiny").bundle.manifest
    first = ladder.bundle.manifest
    assert again.artifacts == first.artifacts
    assert (again.stages, again.golden, again.schedule) == (
        first.stages,
        first.golden,
        first.schedule,
    )


def test_the_teacher_s_blocks_arrive_in_int8_and_then_again_in_float32(ladder: Build) -> None:
    manifest = ladder.bundle.manifest
    routes = ["SSS", "tSS", "ttS", "ttt", "Ttt", "TTt", "TTT"]
    assert [stage.route for stage in manifest.stages] == routes
    for block, stage in enumerate(manifest.stages[4:]):
        assert stage.loads == (f"teacher-{block}",)
        assert stage.unloads == (f"teacher-int8-{block}",)
    loads = [unit for stage in manifest.stages for unit in stage.loads]
    assert len(loads) == len({*loads}) == len(manifest.artifacts)  # nothing arrives twice as it is
    packs = asset_packs(manifest, AndroidSettings(name="tiny", packs="stages"))
    assert [pack.stage for pack in packs] == [*range(7)]


def test_a_rung_says_what_it_computes_with_and_a_step_why_it_ships(
    ladder: Build, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest, recipe = ladder.bundle.manifest, recipe_of(ladder.bundle.manifest)
    assert manifest.backend.precision == "student int8, teacher int8 then fp32"
    for unit in manifest.artifacts:
        plain = unit.role in ("teacher", "encoder")
        assert unit.precision == ("fp32" if plain else recipe)
    *_, last = manifest.schedule.steps
    assert [step.cost for step in manifest.schedule.steps] == pytest.approx(
        [weight(manifest, stage) for stage in manifest.stages[1:]]
    )
    assert last.why == "the whole teacher"
    said = printed(manifest, capsys)
    assert "t: a block of the teacher in int8, which arrives in float32 later" in said


def weight(manifest: Manifest, stage: Stage) -> float:
    """Megabytes of the parameters that a stage loads."""
    found = [manifest.artifact(name) for name in stage.loads]
    sizes = [unit.parameters if unit.precision != "fp32" else 4 * unit.parameters for unit in found]
    return sum(sizes) / 1e6


def printed(manifest: Manifest, capsys: pytest.CaptureFixture[str]) -> str:
    """What a build says at its end, on one line."""
    print_bundle(manifest)
    return " ".join(capsys.readouterr().out.split())


def test_a_rung_in_int8_is_judged_in_decibels_and_one_in_float32_by_its_tolerance(
    ladder: Build, climbed: Report
) -> None:
    *mixed, final = ladder.bundle.manifest.stages
    assert all(stage.parity.sqnr_db >= 20 for stage in mixed)
    assert (final.parity.sqnr_db, final.accuracy.agreement) == (None, None)
    by_name = {result.name: result for result in climbed.parity}
    for index in range(7):
        result = by_name[f"stage-{index}"]
        assert result.passed
        assert (result.least_sqnr_db is None) == (index == 6)


def test_the_device_climbs_every_rung(ladder: Build, climbed: Report) -> None:
    assert climbed.validity.verdict != "invalid"
    assert [stage.route for stage in climbed.stages][3:] == ["ttt", "Ttt", "TTt", "TTT"]
    assert all(stage.differing == 0 for stage in climbed.stages)
    run = climbed.runs.progress[0][0]
    assert [load.stage for load in run.loads] == [*range(7)]
    # What the int8 control arm answers is what the whole teacher in int8 does, on its way.
    teacher8 = next(each for each in climbed.bundle.arms if each.name == "teacher8")
    assert accuracy_of(teacher8, climbed) == climbed.stages[3].top1
    assert "ttt" in report_page(climbed)


def test_a_ladder_s_report_says_how_long_each_rung_takes_to_load(
    ladder: Build, climbed: Report, tmp_path: Path
) -> None:
    path = tmp_path / "report.json"
    path.write_text(climbed.to_json())
    text = LADDER.replace("[schedule]", f'[schedule]\nload_times = "{path}"')
    again = assembled(text, backend_of(ladder), ladder.out.parent, "timed").bundle.manifest
    assert again.schedule.cost_unit == "ms"
    assert all(step.cost > 0 for step in again.schedule.steps)


def test_a_ladder_s_unit_of_another_precision_is_refused(ladder: Build, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(ladder.out, copy)
    head = json.loads((copy / MANIFEST).read_text())
    unit = next(each for each in head["artifacts"] if each["id"] == "teacher-2")
    unit["precision"] = recipe_of(ladder.bundle.manifest)
    unit["parity"]["sqnr_db"] = head["stages"][-1]["parity"]["sqnr_db"] = 40.0
    head["id"] = "0" * 64
    (copy / MANIFEST).write_text(json.dumps(head))
    with pytest.raises(IntegrityError, match=r"teacher-2: .*, but the networks are student int8"):
        open_bundle(copy)


def test_auto_takes_an_int8_student_that_is_no_worse(
    built: Build, capsys: pytest.CaptureFixture[str]
) -> None:
    found = assembled(AUTO, backend_of(built), built.out.parent, "auto").bundle.manifest
    choice = found.schedule.precision
    assert choice.taken == "S8->T32"
    assert choice.int8.top1 == built.bundle.manifest.stages[0].accuracy.top1
    assert found.artifacts == built.bundle.manifest.artifacts
    assert found.stages == built.bundle.manifest.stages
    assert found.provenance.profile["lowering"]["precision"]["plan"] == "auto"
    said = printed(found, capsys)
    assert "precision: S8->T32, the int8 student is no worse within the uncertainty" in said
    assert f"{choice.fp32_top1:.2%}, in int8 {choice.int8.top1:.2%}" in said


@litert
def test_auto_stays_in_float32_where_int8_is_refused(
    built: Build, either_bundles: dict[str, Bundle]
) -> None:
    text = f'{TINY_PROFILE}[lowering.precision]\nplan = "auto"\nleast_sqnr_db = 99'
    found = assembled(text, backend_of(built), built.out.parent, "refused").bundle.manifest
    plain = either_bundles[backend_of(built)].manifest
    assert found.schedule.precision.taken == "S32->T32"
    assert found.schedule.precision.int8 is None
    assert "dB" in found.schedule.precision.why
    assert found.artifacts == plain.artifacts
    assert found.golden == plain.golden
    assert found.backend.precision == "fp32"


@litert
def test_auto_goes_back_to_float32_where_a_stage_is_refused_later(
    built: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unlike_eager(settings: PrecisionSettings, *scores: object) -> None:
        if settings.quantized:
            raise IntegrityError("stage TSS labels 80 % of all images as eager PyTorch does")

    monkeypatch.setattr(program_scores, "require_agreement", unlike_eager)
    text = f'{TINY_PROFILE}[lowering.precision]\nplan = "auto"'
    found = assembled(text, backend_of(built), built.out.parent, "late").bundle.manifest
    choice = found.schedule.precision
    assert (choice.taken, found.backend.precision) == ("S32->T32", "fp32")
    assert choice.int8.top1 == built.bundle.manifest.stages[0].accuracy.top1
    assert choice.why.startswith("the int8 student is refused: stage TSS labels 80 %")
