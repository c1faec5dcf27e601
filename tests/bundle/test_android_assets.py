"""What `pipeline.build --android` writes: packs that arrive in time, and nothing that measures."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.bundle.android_assets import PACKS, require_android_output, write_android
from pipeline.bundle.asset_packs import AssetPack, require_stage_order
from pipeline.bundle.gradle import app_lines, pack_script, settings_lines
from pipeline.bundle.verify import Bundle, open_bundle
from pipeline.core.errors import IntegrityError, UsageError
from pipeline.settings.android_settings import AndroidSettings
from tests.bundle.test_bundle import digest, flip_bit

ASSETS = "src/main/assets/pwl"


@dataclass(frozen=True)
class Stage:
    """What of a stage a pack depends on."""

    index: int
    units: tuple[str, ...]


STAGES = (Stage(0, ("s0", "s1")), Stage(1, ("t0", "e0", "s1")), Stage(2, ("t0", "t1")))
STUDENT = AssetPack("pwl_student", "install-time", 0, ("s0", "s1"))
TEACHER = AssetPack("pwl_teacher", "fast-follow", 1, ("t0", "e0", "t1"))
LATE = AssetPack("pwl_stage2", "on-demand", 2, ("t1",))


def later(*units: str) -> AssetPack:
    return AssetPack("pwl_stage1", "on-demand", 1, units)


def test_packs_in_the_order_of_the_stages_are_taken() -> None:
    require_stage_order([STUDENT, TEACHER], STAGES)
    require_stage_order([STUDENT, later("t0", "e0"), LATE], STAGES)


@pytest.mark.parametrize(
    ("packs", "what"),
    [
        (
            [STUDENT, later("e0"), AssetPack("pwl_stage2", "on-demand", 2, ("t0", "t1"))],
            "stage 1 needs t0, which arrives with pwl_stage2, the pack of stage 2",
        ),
        (
            [AssetPack("pwl_student", "install-time", 0, ("s0",)), later("s1", "t0", "e0"), LATE],
            "stage 0 needs s1, which arrives with pwl_stage1",
        ),
        ([STUDENT, later("t0"), LATE], "stage 1 needs e0, which is in no pack"),
        ([STUDENT, TEACHER, LATE], "t1 is in pwl_teacher and in pwl_stage2"),
    ],
)
def test_a_unit_that_would_come_too_late_is_refused(packs: list[AssetPack], what: str) -> None:
    with pytest.raises(UsageError, match=what) as caught:
        require_stage_order(packs, STAGES)
    assert "first stage that needs it" in caught.value.remedy


def test_the_gradle_lines_name_every_pack_and_what_is_stored_uncompressed() -> None:
    packs = [STUDENT, TEACHER]
    assert 'listOf("pwl_student", "pwl_teacher")' in settings_lines(packs)
    assert app_lines(packs).splitlines() == [
        'assetPacks += listOf(":pwl_student", ":pwl_teacher")',
        'androidResources { noCompress += listOf("pte", "tflite", "plan") }',
    ]
    assert 'deliveryType.set("fast-follow")' in pack_script(TEACHER)
    assert 'packName.set("pwl_teacher")' in pack_script(TEACHER)


def files_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_the_student_is_installed_with_the_app_and_the_rest_follows(
    either_bundle: Bundle, tmp_path: Path
) -> None:
    write_android(either_bundle, AndroidSettings(), tmp_path / "tree")
    suffix = Path(either_bundle.manifest.artifacts[0].path).suffix
    student = {f"units/student-{block}{suffix}" for block in range(3)}
    teacher = {f"units/teacher-{block}{suffix}" for block in range(3)}
    encoders = {f"units/encoder-{block}{suffix}" for block in range(2)}
    root = tmp_path / "tree"
    assert files_in(root / "pwl_student" / ASSETS) == {"loading.plan", "manifest.json", *student}
    assert files_in(root / "pwl_teacher" / ASSETS) == teacher | encoders
    assert {path.name for path in root.iterdir()} == {
        *("README.md", "SHA256SUMS", PACKS, "pwl_student", "pwl_teacher")
    }
    for path in student:
        shipped = root / "pwl_student" / ASSETS / path
        assert shipped.read_bytes() == (either_bundle.root / path).read_bytes()
    readme = (root / "README.md").read_text()
    assert settings_lines([STUDENT, TEACHER]) in readme
    assert app_lines([STUDENT, TEACHER]) in readme


def test_nothing_that_measures_ships(built_bundle: Bundle, tmp_path: Path) -> None:
    write_android(built_bundle, AndroidSettings(), tmp_path / "tree")
    shipped = files_in(tmp_path / "tree")
    assert not [path for path in shipped if "golden" in path or "eval" in path or "arm" in path]


def test_a_pack_for_each_stage_holds_what_that_stage_loads(
    built_bundle: Bundle, tmp_path: Path
) -> None:
    settings = AndroidSettings(delivery="on-demand", packs="stages", name="digits")
    packs = write_android(built_bundle, settings, tmp_path / "tree")
    assert [(pack.name, pack.units) for pack in packs[1:]] == [
        ("digits_stage1", ("teacher-0", "encoder-0")),
        ("digits_stage2", ("teacher-1", "encoder-1")),
        ("digits_stage3", ("teacher-2",)),
    ]
    script = (tmp_path / "tree/digits_stage2/build.gradle.kts").read_text()
    assert 'deliveryType.set("on-demand")' in script
    assert files_in(tmp_path / "tree/digits_stage3/src") == {
        "main/assets/digits/units/teacher-2.pte"
    }


def test_a_small_model_lies_whole_in_the_assets_of_the_app(
    built_bundle: Bundle, tmp_path: Path
) -> None:
    write_android(built_bundle, AndroidSettings(delivery="base"), tmp_path / "tree")
    root = tmp_path / "tree"
    assert len(files_in(root / "assets/pwl/units")) == len(built_bundle.manifest.artifacts)
    assert not list(root.rglob("*.kts"))
    assert "assets.srcDir" in (root / "README.md").read_text()


def test_the_same_bundle_gives_the_same_bytes_and_sums_that_hold(
    built_bundle: Bundle, tmp_path: Path
) -> None:
    for name in ("one", "other"):
        write_android(built_bundle, AndroidSettings(), tmp_path / name)
    assert digest(tmp_path / "one") == digest(tmp_path / "other")
    check = ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"]
    assert subprocess.run(check, cwd=tmp_path / "one", check=False).returncode == 0
    packs = json.loads((tmp_path / "one" / PACKS).read_text())
    assert packs["bundle"] == built_bundle.manifest.id


def test_an_earlier_tree_is_replaced_as_a_whole(built_bundle: Bundle, tmp_path: Path) -> None:
    out = tmp_path / "tree"
    write_android(built_bundle, AndroidSettings(delivery="on-demand", packs="stages"), out)
    write_android(built_bundle, AndroidSettings(), out)
    assert not (out / "pwl_stage1").exists()


@pytest.mark.parametrize("mine", ["notes.txt", "pwl_student/src/main/assets/mine.bin"])
def test_a_tree_with_a_file_of_somebody_else_is_left_alone(
    mine: str, built_bundle: Bundle, tmp_path: Path
) -> None:
    out = tmp_path / "tree"
    write_android(built_bundle, AndroidSettings(), out)
    (out / mine).write_text("mine")
    with pytest.raises(UsageError, match=f"{mine} is not part of a tree of packs"):
        write_android(built_bundle, AndroidSettings(), out)
    assert (out / mine).read_text() == "mine"


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "build.gradle.kts").write_text("plugins {}")
    with pytest.raises(UsageError, match=f"it has no {PACKS}") as caught:
        require_android_output(tmp_path)
    assert "--android" in caught.value.remedy


def test_a_tree_never_replaces_its_bundle(built_bundle: Bundle) -> None:
    with pytest.raises(UsageError, match="lies there, and would be replaced"):
        write_android(built_bundle, AndroidSettings(), built_bundle.root)


def test_a_file_that_is_not_the_manifests_any_more_does_not_ship(
    bundle_copy: Path, tmp_path: Path
) -> None:
    bundle = open_bundle(bundle_copy)
    flip_bit("units/teacher-1.pte")(bundle_copy)
    with pytest.raises(IntegrityError, match=r"teacher-1\.pte changed"):
        write_android(bundle, AndroidSettings(), tmp_path / "tree")
    assert not (tmp_path / "tree").exists()
