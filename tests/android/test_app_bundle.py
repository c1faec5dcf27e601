"""The packs in a real app bundle: what bundletool makes of them, and the student mapped from it."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.bundle.android_assets import write_android
from pipeline.bundle.asset_packs import AssetPack
from pipeline.bundle.gradle import UNCOMPRESSED
from pipeline.bundle.verify import Bundle
from pipeline.settings.android_settings import AndroidSettings
from pipeline.toolchain.engines import Engines
from tests.android.app_bundle import (
    app_bundle,
    call,
    data_offset,
    realigned,
    size_report,
    tools,
    universal_apk,
    verify_signature,
)
from tests.android.toolchain import class_path, complaints, jvm, kotlin, native_library

FOLDER = "assets/pwl/"


@dataclass(frozen=True, slots=True)
class App:
    """An app bundle, and the APK of everything that is installed with it."""

    source: Bundle
    packs: tuple[AssetPack, ...]
    bundle: Path
    apk: Path

    def assets(self) -> list[zipfile.ZipInfo]:
        with zipfile.ZipFile(self.apk) as archive:
            return [e for e in archive.infolist() if e.filename.startswith(FOLDER)]


@pytest.fixture(scope="module")
def app(either_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> App:
    programs, folder = tools(), tmp_path_factory.mktemp("app")
    tree = folder / "tree"
    packs = write_android(either_bundle, AndroidSettings(), tree)
    bundle = app_bundle(programs, tree, packs, folder)
    call(programs.bundletool, "validate", f"--bundle={bundle}")
    return App(either_bundle, tuple(packs), bundle, universal_apk(programs, bundle, folder))


def test_the_student_is_in_the_app_and_the_teacher_in_a_pack_of_its_own(app: App) -> None:
    with zipfile.ZipFile(app.bundle) as archive:
        names = archive.namelist()
    suffix = Path(app.source.manifest.artifacts[0].path).suffix
    assert f"pwl_student/{FOLDER}loading.plan" in names
    assert f"pwl_student/{FOLDER}units/student-0{suffix}" in names
    assert f"pwl_teacher/{FOLDER}units/teacher-0{suffix}" in names
    installed = [entry.filename for entry in app.assets()]
    assert f"{FOLDER}units/student-0{suffix}" in installed
    assert not [name for name in installed if "teacher" in name]


def test_nothing_that_measures_is_in_it(app: App) -> None:
    with zipfile.ZipFile(app.bundle) as archive:
        names = archive.namelist()
    assert not [name for name in names if "golden" in name or "eval" in name or "control" in name]


def test_what_is_mapped_is_stored(app: App) -> None:
    mapped = [e for e in app.assets() if e.filename.endswith(tuple(f".{s}" for s in UNCOMPRESSED))]
    assert len(mapped) == 4
    assert {entry.compress_type for entry in mapped} == {zipfile.ZIP_STORED}


@pytest.mark.parametrize(
    ("uncompressed", "method"), [(UNCOMPRESSED, zipfile.ZIP_STORED), ((), zipfile.ZIP_DEFLATED)]
)
def test_assets_of_the_app_itself_are_stored_because_of_no_compress(
    uncompressed: tuple[str, ...], method: int, either_bundle: Bundle, tmp_path: Path
) -> None:
    """Packs are always stored; the base is compressed but for what the README's line names."""
    tree = tmp_path / "tree"
    packs = write_android(either_bundle, AndroidSettings(delivery="base"), tree)
    programs = tools()
    bundle = app_bundle(programs, tree, packs, tmp_path / "app", uncompressed)
    app = App(
        either_bundle, tuple(packs), bundle, universal_apk(programs, bundle, tmp_path / "app")
    )
    mapped = [e for e in app.assets() if not e.filename.endswith(".json")]
    assert len(mapped) == 1 + len(either_bundle.manifest.artifacts)
    assert {entry.compress_type for entry in mapped} == {method}


def test_each_pack_takes_what_its_files_do_and_the_teacher_comes_after_the_first_download(
    app: App, tmp_path: Path
) -> None:
    sizes = size_report(tools(), app.bundle, app.packs, tmp_path)
    index = json.loads((app.bundle.parent / "tree" / "packs.json").read_text())
    assert {n: p.installed for n, p in sizes.packs.items()} == {
        pack["name"]: pack["bytes"] for pack in index["packs"]
    }
    student, teacher = sizes.packs["pwl_student"], sizes.packs["pwl_teacher"]
    # Weights are compressed a little on their way.
    assert student.installed / 4 < student.download < student.installed
    assert teacher.installed / 4 < teacher.download < teacher.installed
    assert student.download < sizes.first_download < student.download + teacher.download


def test_it_is_signed_and_a_change_of_it_is_noticed(app: App, tmp_path: Path) -> None:
    assert verify_signature(app.apk) is None
    tampered = bytearray(app.apk.read_bytes())
    tampered[data_offset(app.apk, app.assets()[0])] ^= 1
    (tmp_path / "tampered.apk").write_bytes(tampered)
    assert "DOES NOT VERIFY" in (verify_signature(tmp_path / "tampered.apk") or "")


def test_the_student_answers_as_golden_from_where_it_lies_in_the_apk(
    app: App, tmp_path: Path
) -> None:
    """Mapped in place where it lies at a multiple of 16, copied into memory where it does not."""
    stored = [e for e in app.assets() if e.compress_type == zipfile.ZIP_STORED]
    units = {e.filename.removeprefix(FOLDER) for e in stored if "/units/" in e.filename}
    apks = [app.apk, *(realigned(app.apk, tmp_path / f"{by}.apk", by) for by in (16, 4))]
    indexes = []
    for apk in apks:
        lines = [str(apk)]
        with zipfile.ZipFile(apk) as archive:
            for entry in map(archive.getinfo, [e.filename for e in stored]):
                path, offset = entry.filename.removeprefix(FOLDER), data_offset(apk, entry)
                lines.append(f"{path} {offset} {entry.file_size}")
        indexes.append(tmp_path / f"{apk.stem}.txt")
        indexes[-1].write_text("\n".join(lines))
    with class_path(kotlin()) as classes:
        places = (app.source.root, Engines.installed().opened["litert"], *indexes)
        done = jvm(classes, native_library(), "dev.pwl.test.FromApk", *map(str, places))
    assert done.returncode == 0, done.stdout + done.stderr
    assert not complaints(done)
    found = [line.split("\t") for line in done.stdout.splitlines()]
    assert [stages for stages, _ in found] == ["[0]"] * 3
    built, aligned, askew = (set(mapped.split()) for _, mapped in found)
    in_place = {e.filename for e in stored if data_offset(app.apk, e) % 16 == 0}
    assert built == {path for path in units if f"{FOLDER}{path}" in in_place}
    assert aligned == units
    assert askew == set()
