"""Places to write to are checked before any work is done."""

from __future__ import annotations

import errno
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import Result
from typer.testing import CliRunner

from pipeline.build import build
from pipeline.bundle.layout import control_folder, require_build_output
from pipeline.check import check
from pipeline.core.errors import DeviceError, UsageError
from pipeline.core.outputs import require_file, require_folder
from pipeline.evaluate import evaluate
from pipeline.profile import profile
from pipeline.train import train
from tests.fixtures import TINY_PROFILE
from tests.report.builder import metric, report


def nothing(folder: Path) -> str | None:
    return None


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder beside ``file``, ``foreign/`` and a profile."""
    (tmp_path / "file").touch()
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "thesis.tex").touch()
    both = f'{TINY_PROFILE}\n[lowering]\nbackend = ["executorch", "litert"]\n'
    (tmp_path / "tiny.toml").write_text(TINY_PROFILE)
    (tmp_path / "both.toml").write_text(both)
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path


def all_below(folder: Path) -> list[str]:
    return sorted(str(path) for path in folder.rglob("*"))


ODD = ("../file", "../file/x", "../loop", "../loop/x", "x" * 300, "/proc/nothing/x")


@pytest.mark.parametrize("path", ODD)
@pytest.mark.parametrize("require", [require_folder, require_file])
def test_a_place_that_cannot_be_written_is_named(
    require: Callable[[Path, str], None], path: str, here: Path
) -> None:
    before = all_below(here)
    if require is require_file and path == "../file":
        require(Path(path), "--out")  # a file may replace a file
        return
    with pytest.raises(UsageError) as caught:
        require(Path(path), "--out")
    assert path in caught.value.what
    assert "name another with --out" in caught.value.remedy
    assert all_below(here) == before


@pytest.mark.parametrize("path", ["new", "new/er/still", "../foreign/new", ".", "../here"])
def test_a_place_that_can_be_written_is_left_as_it_is(path: str, here: Path) -> None:
    before = all_below(here)
    require_folder(Path(path), "--out")
    require_file(Path(path) / "file", "--out")
    assert all_below(here) == before


def test_a_full_disk_is_no_wrong_usage(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(dir: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    with pytest.raises(DeviceError, match="new: cannot be written: No space left"):
        require_folder(Path("new"), "--out")


def test_a_disk_that_has_no_room_for_a_report_is_refused_before_the_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    left = SimpleNamespace(total=1 << 40, free=5_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: left)
    with pytest.raises(DeviceError, match=r"new: cannot be written: 5.0 MB are left") as caught:
        require_folder(Path("new"), "--out")
    assert "make room" in caught.value.remedy
    left.total = left.free = 0  # as some network storage says
    require_folder(Path("new"), "--out")


@pytest.mark.parametrize("path", [".", "..", "/", "../here", "../foreign", "../file", "../loop"])
def test_a_bundle_replaces_no_current_and_no_foreign_folder(path: str, here: Path) -> None:
    before = all_below(here)
    with pytest.raises(UsageError) as caught:
        require_build_output(Path(path))
    assert "name another with --out" in caught.value.remedy
    assert all_below(here) == before


@pytest.mark.parametrize("path", [".", "/", "..", "../here"])
def test_bundles_of_several_backends_are_not_put_beside_the_current_folder(
    path: str, here: Path
) -> None:
    before = all_below(here)
    result = run(build, "../both.toml", "--out", path)
    assert result.exit_code == 2
    assert f"{path}: the current folder lies there" in result.stderr
    assert all_below(here) == before


def test_a_bundle_does_not_replace_the_cache_that_it_is_made_from() -> None:
    with pytest.raises(UsageError, match="build/cache lies there"):
        require_build_output(Path("build"), keeps=(Path("build/cache"),))


def test_a_folder_that_happens_to_have_a_manifest_is_foreign(here: Path) -> None:
    (here / "foreign" / "manifest.json").write_text('{"name": "a browser extension"}')
    with pytest.raises(UsageError, match=r"\(it has no SHA256SUMS\)"):
        require_build_output(here / "foreign")


def made_bundle(root: Path, head: str = "manifest.json") -> Path:
    """A folder that looks like one that a build wrote."""
    (root / "units").mkdir(parents=True)
    (root / "units" / "a.pte").write_text("a")
    (root / head).write_text("{}")
    (root / "SHA256SUMS").write_text(f"0  units/a.pte\n1  {head}\n")
    return root


def test_a_file_that_somebody_put_into_a_bundle_is_not_lost(here: Path) -> None:
    bundle = made_bundle(here / "bundle")
    require_build_output(bundle)
    (bundle / "notes.txt").touch()
    with pytest.raises(UsageError, match=r"\(notes.txt is not part of a bundle\)"):
        require_build_output(bundle)


def test_a_foreign_folder_in_the_place_of_the_control_arms_is_told(here: Path) -> None:
    (here / "foreign").rename(here / "out.control")
    with pytest.raises(UsageError, match=r"out\.control exists"):
        require_build_output(here / "out")


def test_nothing_is_written_into_a_bundle(here: Path) -> None:
    bundle = made_bundle(here / "bundle")
    for place in (bundle, bundle / "units" / "report"):
        with pytest.raises(UsageError, match="a bundle or its control arms, and damage it"):
            require_folder(place, "--out")
        with pytest.raises(UsageError, match="and damage it"):
            require_file(place / "file", "--junit")


def test_the_control_arms_of_a_link_are_those_of_its_folder(here: Path) -> None:
    (here / "v1").mkdir()
    (here / "latest").symlink_to("v1")
    assert control_folder(here / "latest") == here / "v1.control"
    assert control_folder(Path()) == here / "here.control"
    assert control_folder(Path("dist/app")) == Path("dist/app.control")


def run(command: object, *words: object) -> Result:
    return CliRunner().invoke(command, [str(word) for word in words])


@pytest.fixture
def judged(here: Path) -> tuple[object, ...]:
    """The words of a check that passes."""
    (here / "report.json").write_text(report({"time": metric([1.0])}).to_json())
    gates = '[[gate]]\nname = "fast"\nmetric = "time"\nat_most = 2.0\n'
    (here / "gates.toml").write_text(gates)
    return (check, here / "report.json", "--gates", here / "gates.toml")


@pytest.mark.parametrize(
    "words",
    [
        (build, "../tiny.toml", "--out", "../file"),
        (build, "../tiny.toml", "--out", "../foreign"),
        (build, "../tiny.toml", "--out", ".."),
        (build, "../tiny.toml", "--out", "../file/x/y"),
        (build, "../tiny.toml", "--cache", "../file"),
        (train, "../tiny.toml", "--cache", "../file/x"),
        (train, "../tiny.toml", "--logs", "../file"),
        (evaluate, "../tiny.toml", "--cache", "../file"),
        (evaluate, "../tiny.toml", "--inputs", "none.npy", "--logits", "out.npz"),
        (evaluate, "../tiny.toml", "--inputs", "none.npy", "--logits", "../file/out.npz"),
        (profile, "none", "--out", "../file/x"),
        (profile, "none", "--work", "../file"),
        (profile, "none", "--device", "local", "--device", "adb:x", "--out", "../file"),
        (profile, "none", "--device", "local", "--device", "adb:x", "--out", "../file/x"),
    ],
    ids=lambda words: " ".join(str(word) for word in words[1:]),
)
def test_a_command_refuses_an_output_before_it_does_anything(
    words: tuple[object, ...], here: Path
) -> None:
    before = all_below(here)
    result = run(*words)
    assert result.exit_code == 2, result.stderr
    assert "remedy: " in result.stderr
    assert "train teacher" not in result.stderr
    assert "none: no such folder" not in result.stderr
    assert all_below(here) == before


def test_the_outputs_of_all_backends_are_checked_before_the_first_is_built(here: Path) -> None:
    (here / "foreign").rename(here / "out-litert")
    before = all_below(here)
    result = run(build, "../both.toml", "--out", "../out")
    assert result.exit_code == 2
    assert "out-litert exists" in result.stderr
    assert all_below(here) == before


@pytest.mark.parametrize("flag", ["--junit", "--markdown"])
@pytest.mark.parametrize("path", ["../file/x.xml", ".", "../report.json", "../gates.toml"])
def test_check_writes_nothing_over_what_it_reads_nor_where_it_cannot(
    flag: str, path: str, judged: tuple[object, ...], here: Path
) -> None:
    kept = (here / "report.json").read_text()
    result = run(*judged, flag, path)
    assert result.exit_code == 2
    assert f"name another with {flag}" in result.stderr
    assert (here / "report.json").read_text() == kept


def test_check_writes_two_summaries_to_two_files(judged: tuple[object, ...], here: Path) -> None:
    assert run(*judged, "--junit", "one", "--markdown", "../here/one").exit_code == 2
    assert run(*judged, "--junit", "a/junit.xml", "--markdown", "b/summary.md").exit_code == 0
    assert (here / "here/a/junit.xml").is_file()
    assert (here / "here/b/summary.md").is_file()
