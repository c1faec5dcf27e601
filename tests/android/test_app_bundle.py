"""The packs in a real app bundle: what bundletool makes of them, and the student mapped from it."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.bundle.android import write_android
from pipeline.bundle.asset_packs import AssetPack
from pipeline.bundle.gradle import UNCOMPRESSED
from pipeline.bundle.verify import Bundle
from pipeline.settings.android import AndroidSettings
from pipeline.toolchain.engines import Engines
from tests.android.app_bundle import (
    app_bundle,
    call,
    data_offset,
    size_report,
    tools,
    universal_apk,
)
from tests.android.toolchain import class_path, jvm, kotlin, native_library

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


def test_it_is_signed(app: App) -> None:
    """Scheme 2 and later, before the directory of the archive; minSdk 26 needs no older one."""
    assert b"APK Sig Block 42" in app.apk.read_bytes()


def test_the_student_answers_as_golden_from_where_it_lies_in_the_apk(app: App) -> None:
    native = native_library()
    slices: list[str] = []
    for entry in app.assets():
        if entry.compress_type == zipfile.ZIP_STORED:
            path = entry.filename.removeprefix(FOLDER)
            slices += [path, str(data_offset(app.apk, entry)), str(entry.file_size)]
    with class_path(kotlin()) as classes:
        places = (str(app.source.root), str(Engines.installed().opened["litert"]), str(app.apk))
        done = jvm(classes, native, "dev.pwl.test.FromApk", *places, *slices)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip() == "[0]"
