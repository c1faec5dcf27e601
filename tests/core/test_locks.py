"""Two runs on this machine never write into one place at once."""

from __future__ import annotations

import getpass
import re
import socket
import subprocess
from pathlib import Path

import pytest

from pipeline.core.errors import ExitCode, UsageError
from pipeline.core.locks import (
    BusyError,
    readable_holder,
    replacing_place,
    using_folder,
    writing_folder,
)
from pipeline.core.progress import Silent
from pipeline.settings import Settings
from pipeline.workflows.build_bundle import assemble
from tests.holder import holder

ANOTHER = "name another with --out"


class Ends(Silent):
    """Ends the holder of a lock when it is told that somebody waits for it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.said: list[str] = []
        self._process = process

    def say(self, line: str) -> None:
        self.said.append(line)
        self._process.communicate()


def test_a_folder_that_another_run_writes_is_refused_with_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "report"
    with (
        holder("folder", folder) as other,
        pytest.raises(BusyError) as caught,
        writing_folder(folder, ANOTHER),
    ):
        pytest.fail("both are in")
    assert caught.value.code is ExitCode.DEVICE
    who = f"{getpass.getuser()}@{socket.gethostname()}, process {other.pid}, since "
    assert f"{folder} is in use by {who}" in caught.value.what
    assert re.search(r"since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$", caught.value.what)
    assert ANOTHER in caught.value.remedy


def test_a_bundle_that_another_run_builds_is_refused(tmp_path: Path) -> None:
    with (
        holder("replaced", tmp_path / "bundle"),
        pytest.raises(BusyError, match="bundle is in use"),
        replacing_place(tmp_path / "bundle", ANOTHER),
    ):
        pytest.fail("both are in")


def test_a_cache_in_use_is_waited_for_with_a_message(tmp_path: Path) -> None:
    with holder("cache", tmp_path) as other:
        progress = Ends(other)
        with using_folder(tmp_path, "name another with --cache", progress):
            assert other.poll() is not None
    (said,) = progress.said
    assert f"{tmp_path} is in use by" in said
    assert f"process {other.pid}, since" in said
    assert "--cache" in said


@pytest.mark.parametrize("kind", ["folder", "replaced", "cache"])
def test_a_killed_run_leaves_no_lock(kind: str, tmp_path: Path) -> None:
    place = tmp_path / "place"
    with holder(kind, place) as other:
        other.kill()
        other.wait()
    locks = {
        "folder": lambda: writing_folder(place, ANOTHER),
        "replaced": lambda: replacing_place(place, ANOTHER),
        "cache": lambda: using_folder(place, ANOTHER, Silent()),
    }
    with locks[kind]():
        pass


def test_a_lock_can_be_had_again_after_an_error(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt), writing_folder(tmp_path, ANOTHER):
            raise KeyboardInterrupt


def test_a_run_that_writes_nothing_leaves_nothing(tmp_path: Path) -> None:
    with writing_folder(tmp_path / "reports" / "one", ANOTHER):
        pass
    with replacing_place(tmp_path / "dist" / "two", ANOTHER):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_cache_that_stays_empty_is_gone_afterwards(tmp_path: Path) -> None:
    with using_folder(tmp_path / "build" / "cache", ANOTHER, Silent()):
        pass
    assert list(tmp_path.iterdir()) == []
    with using_folder(tmp_path / "build" / "cache", ANOTHER, Silent()):
        (tmp_path / "build" / "cache" / "model").touch()
    assert (tmp_path / "build" / "cache" / "model").exists()


def test_a_folder_that_its_holder_removes_is_made_again_by_who_waited(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    with holder("cache", cache) as other, using_folder(cache, ANOTHER, Ends(other)):
        assert cache.is_dir()


def test_what_was_written_stays_without_the_lock_s_file(tmp_path: Path) -> None:
    with writing_folder(tmp_path / "one", ANOTHER):
        (tmp_path / "one" / "report.json").touch()
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["report.json"]


@pytest.mark.parametrize("place", ["file", "file/below", "/proc/none", "locked"])
def test_a_place_that_cannot_be_written_is_told_in_words(place: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "locked" / ".lock").mkdir(parents=True)
    folder = tmp_path / place
    for lock in (
        writing_folder(folder, ANOTHER),
        using_folder(folder, ANOTHER, Silent()),
    ):
        with pytest.raises(UsageError, match=f"{folder} cannot be written to: ") as caught, lock:
            pytest.fail("it was written to")
        assert caught.value.remedy == ANOTHER


def test_another_spelling_of_a_place_is_the_same_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "one").mkdir()
    monkeypatch.chdir(tmp_path / "one")
    for spelling in (".", "../one", "../one/../one/"):
        with (
            holder("replaced", tmp_path / "one"),
            pytest.raises(BusyError),
            replacing_place(Path(spelling), ANOTHER),
        ):
            pytest.fail("both are in")


def test_the_root_is_no_place_to_replace() -> None:
    with pytest.raises(UsageError, match="cannot be replaced"), replacing_place(Path("/"), ANOTHER):
        pytest.fail("it was replaced")


def test_a_name_that_a_lock_s_file_gives_is_fit_to_be_printed() -> None:
    assert readable_holder("a\x1b[2J\nb\0") == "a[2Jb"
    assert len(readable_holder("x" * 10_000)) < 1000
    assert "does not say" in readable_holder("\n")


def test_a_build_into_a_folder_that_another_one_builds_is_refused_before_it_trains(
    tiny_settings: Settings, tmp_path: Path
) -> None:
    with holder("replaced", tmp_path / "tiny"), pytest.raises(BusyError, match="tiny is in use"):
        assemble(tiny_settings, tmp_path / "tiny", tmp_path / "cache", Silent())
    assert not (tmp_path / "cache").exists()


@pytest.mark.usefixtures("built_bundle")
def test_a_build_waits_for_the_cache(
    tiny_settings: Settings, tiny_cache: Path, tmp_path: Path
) -> None:
    with holder("cache", tiny_cache) as other:
        progress = Ends(other)
        built = assemble(tiny_settings, tmp_path / "tiny", tiny_cache, progress)
    assert any("waiting for its end" in line for line in progress.said)
    assert built.bundle.root == tmp_path / "tiny"
