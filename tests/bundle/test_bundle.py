from __future__ import annotations

import hashlib
import json
import random
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.bundle.layout import control_folder
from pipeline.bundle.manifest import Manifest
from pipeline.bundle.pack import pack_build
from pipeline.bundle.swaps import swaps
from pipeline.bundle.verify import Bundle, open_bundle, open_controls
from pipeline.core.errors import ExitCode, IntegrityError, PipelineError, UsageError


def test_swaps_load_what_is_new_and_unload_what_is_gone() -> None:
    first, second, third = swaps([["s0", "s1"], ["t0", "e0", "s1"], ["t0", "t1"]])
    assert (first.loads, first.unloads) == (("s0", "s1"), ())
    assert (second.loads, second.unloads) == (("t0", "e0"), ("s0",))
    assert (third.loads, third.unloads) == (("t1",), ("e0", "s1"))


def test_a_built_bundle_verifies(built_bundle: Bundle) -> None:
    again = open_bundle(built_bundle.root)
    assert again.manifest == built_bundle.manifest
    assert open_controls(control_folder(built_bundle.root), again.manifest).arms


def test_its_checksums_are_those_that_sha256sum_knows(built_bundle: Bundle) -> None:
    command = ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"]
    assert subprocess.run(command, cwd=built_bundle.root, check=False).returncode == 0


def test_stages_lead_from_the_student_to_the_teacher(built_bundle: Bundle) -> None:
    stages = built_bundle.manifest.stages
    assert [stage.route for stage in stages] == ["SSS", "TSS", "TTS", "TTT"]
    assert stages[1].loads == ("teacher-0", "encoder-0")
    assert stages[1].unloads == ("student-0",)
    assert stages[3].units == ("teacher-0", "teacher-1", "teacher-2")


def test_every_program_and_stage_was_compared(built_bundle: Bundle) -> None:
    manifest = built_bundle.manifest
    parities = [artifact.parity for artifact in manifest.artifacts]
    parities += [stage.parity for stage in manifest.stages]
    for parity in parities:
        assert 0 < parity.max_rel < 1e-4
        assert parity.inputs == 3


def test_evaluation_counts_agree_with_the_files(built_bundle: Bundle) -> None:
    import numpy as np

    evaluation = built_bundle.manifest.evaluation
    labels = np.fromfile(built_bundle.root / evaluation.labels.path, "<u2")
    rows = np.fromfile(built_bundle.root / evaluation.predictions.path, "<u2").reshape(4, 40)
    assert evaluation.correct == tuple(int((row == labels).sum()) for row in rows)
    images = built_bundle.root / evaluation.images.path
    assert images.stat().st_size == 40 * 8 * 8


Damage = Callable[[Path], None]


def flip_bit(name: str) -> Damage:
    def damage(root: Path) -> None:
        data = bytearray((root / name).read_bytes())
        data[len(data) // 2] ^= 1
        (root / name).write_bytes(data)

    return damage


def cut(name: str) -> Damage:
    return lambda root: (root / name).write_bytes((root / name).read_bytes()[:-1])


def remove(name: str) -> Damage:
    return lambda root: (root / name).unlink()


def add(name: str) -> Damage:
    return lambda root: (root / name).write_text("foreign") and None


def swap(first: str, second: str) -> Damage:
    def damage(root: Path) -> None:
        one, other = (root / first).read_bytes(), (root / second).read_bytes()
        (root / first).write_bytes(other)
        (root / second).write_bytes(one)

    return damage


def make_folder(name: str) -> Damage:
    def damage(root: Path) -> None:
        (root / name).unlink()
        (root / name).mkdir()

    return damage


def edit_manifest(change: Callable[[dict[str, Any]], None]) -> Damage:
    def damage(root: Path) -> None:
        data = json.loads((root / "manifest.json").read_text())
        change(data)
        (root / "manifest.json").write_text(json.dumps(data))

    return damage


UNIT = "units/teacher-1.pte"


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (flip_bit(UNIT), f"{UNIT}: damaged"),
        (cut(UNIT), f"{UNIT}: "),
        (remove(UNIT), f"{UNIT}: missing"),
        (make_folder(UNIT), f"{UNIT}: not a file"),
        (add("units/extra.pte"), "units/extra.pte: does not belong"),
        (swap(UNIT, "units/teacher-2.pte"), f"{UNIT}: holds the content of units/teacher-2.pte"),
        (flip_bit("golden/stage-1.f32"), "golden/stage-1.f32: damaged"),
        (flip_bit("eval/labels.u16"), "eval/labels.u16: damaged"),
        (remove("SHA256SUMS"), "SHA256SUMS: missing"),
        (cut("SHA256SUMS"), "SHA256SUMS: does not agree"),
        (cut("manifest.json"), "SHA256SUMS: does not agree with the folder on manifest.json"),
        (edit_manifest(lambda m: m.update(name="other")), "its content has the id"),
        (edit_manifest(lambda m: m["stages"].pop()), "is not valid"),
        (edit_manifest(lambda m: m.update(surprise=1)), "surprise"),
        (edit_manifest(lambda m: m["artifacts"][0].update(path="../../etc/x")), "path"),
        (lambda root: (root / "manifest.json").write_text("{"), "is not JSON"),
        (lambda root: (root / "manifest.json").write_text("[]"), "is not valid"),
        (lambda root: (root / "manifest.json").write_bytes(b"\xff\xfe"), "cannot be read"),
    ],
)
def test_a_damaged_bundle_is_refused_by_what_is_wrong(
    damage: Damage, said: str, bundle_copy: Path
) -> None:
    damage(bundle_copy)
    with pytest.raises(IntegrityError) as caught:
        open_bundle(bundle_copy)
    assert said in caught.value.what
    assert caught.value.code is ExitCode.INTEGRITY


def test_everything_that_is_wrong_is_told_at_once(bundle_copy: Path) -> None:
    flip_bit(UNIT)(bundle_copy)
    remove("units/student-0.pte")(bundle_copy)
    with pytest.raises(IntegrityError, match=r"2 problems[\s\S]*student-0[\s\S]*teacher-1"):
        open_bundle(bundle_copy)


def test_no_bit_of_a_bundle_can_be_flipped_unnoticed(bundle_copy: Path) -> None:
    draw = random.Random(0)
    files = sorted(path for path in bundle_copy.rglob("*") if path.is_file())
    for _ in range(150):
        path = draw.choice(files)
        before = path.read_bytes()
        data = bytearray(before)
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        path.write_bytes(data)
        with pytest.raises(PipelineError):
            open_bundle(bundle_copy)
        path.write_bytes(before)
    open_bundle(bundle_copy)


def test_a_folder_without_a_bundle_is_wrong_usage(tmp_path: Path) -> None:
    for root in (tmp_path, tmp_path / "none"):
        with pytest.raises(UsageError):
            open_bundle(root)


@pytest.mark.parametrize(
    ("version", "remedy"),
    [(1, "build it again with this release"), (99, "update this tool, or build it again")],
)
def test_a_bundle_of_another_release_is_wrong_usage(
    version: int, remedy: str, bundle_copy: Path
) -> None:
    edit_manifest(lambda m: m.update(schema_version=version))(bundle_copy)
    with pytest.raises(UsageError, match=f"schema version {version}; .* version 2") as raised:
        open_bundle(bundle_copy)
    assert raised.value.remedy.startswith(remedy)


def test_control_arms_of_another_release_are_wrong_usage(bundle_copy: Path) -> None:
    path = control_folder(bundle_copy) / "control.json"
    path.write_text(path.read_text().replace('"schema_version": 2', '"schema_version": 1'))
    with pytest.raises(UsageError, match=r"control\.json has schema version 1"):
        open_controls(control_folder(bundle_copy), open_bundle(bundle_copy).manifest)


def test_control_arms_of_another_bundle_are_refused(bundle_copy: Path) -> None:
    path = control_folder(bundle_copy) / "control.json"
    data = json.loads(path.read_text())
    data["bundle"] = "0" * 64
    path.write_text(json.dumps(data))
    with pytest.raises(UsageError, match="control arms of bundle 000000000000"):
        open_controls(control_folder(bundle_copy), open_bundle(bundle_copy).manifest)


def test_damaged_control_arms_are_refused(bundle_copy: Path) -> None:
    flip_bit("teacher.pte")(control_folder(bundle_copy))
    with pytest.raises(IntegrityError, match=r"teacher\.pte: damaged"):
        open_controls(control_folder(bundle_copy), open_bundle(bundle_copy).manifest)


def test_a_bundle_that_was_copied_alone_lacks_its_control_arms(bundle_copy: Path) -> None:
    manifest = open_bundle(bundle_copy).manifest
    with pytest.raises(UsageError, match="control arms should be") as caught:
        open_controls(bundle_copy.with_name("elsewhere"), manifest)
    assert "--control" in caught.value.remedy


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda m: m["stages"][1]["units"].reverse(), "reads"),
        (lambda m: m["stages"][1].update(units=["nobody"]), "no artifact is called"),
        (lambda m: m["stages"][1].update(index=7), "calls itself 7"),
        (lambda m: m["stages"][1].update(route="TS"), "has not 3 blocks"),
        (lambda m: m["stages"][2].update(loads=[]), "loads and unloads"),
        (lambda m: m["artifacts"][1].update(id=m["artifacts"][0]["id"]), "occurs twice"),
        (lambda m: m["model"]["labels"].append("eleventh"), "ends with"),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(
    change: Callable[[dict[str, Any]], None], said: str, built_bundle: Bundle
) -> None:
    data = built_bundle.manifest.model_dump(mode="json")
    change(data)
    with pytest.raises(ValidationError, match=said):
        Manifest.model_validate(data)


def test_a_bundle_never_replaces_what_is_no_bundle(built_bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UsageError, match="is no folder that this command wrote"):
        pack_again(built_bundle, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_packing_the_same_content_twice_gives_the_same_bytes(
    built_bundle: Bundle, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        pack_again(built_bundle, tmp_path / name)
    assert digest(tmp_path / "one") == digest(tmp_path / "two") == digest(built_bundle.root)


def pack_again(bundle: Bundle, out: Path) -> None:
    """What a build packs, from what it left."""
    manifest, beside = bundle.manifest, control_folder(bundle.root)
    controls = open_controls(beside, manifest)
    files = {entry.path: bundle.root / entry.path for entry in manifest.files()}
    arms = {entry.path: beside / entry.path for entry in controls.files()}
    pack_build(manifest, files, controls, arms, out)


def digest(root: Path) -> str:
    whole = hashlib.sha256()
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        whole.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes())
    return whole.hexdigest()
