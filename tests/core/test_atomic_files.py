from __future__ import annotations

import errno
import os
import pickle
import threading
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from pipeline.core import atomic_files as files
from pipeline.core.atomic_files import (
    replacing,
    replacing_folder,
    replacing_folders,
    write_text,
    write_texts,
)
from pipeline.core.errors import DeviceError, ExitCode, IntegrityError, PipelineError, UsageError


class FailureError(Exception):
    pass


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_file_is_replaced_only_when_its_writing_ends_well(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_text(path, "old")
    with pytest.raises(FailureError), replacing(path) as temporary:
        temporary.write_text("half of the n")
        raise FailureError
    assert path.read_text() == "old"
    assert names(tmp_path) == {"file"}
    with replacing(path) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new"
    assert names(tmp_path) == {"file"}


def test_texts_take_their_places_only_when_all_are_whole(tmp_path: Path) -> None:
    write_texts(tmp_path, {"page": "old", "data": "old"})
    for texts in ({"page": "new", "data": "\udc80"}, {"page": "\udc80", "data": "new"}):
        with pytest.raises(UnicodeEncodeError):
            write_texts(tmp_path, texts)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "page": "old",
        "data": "old",
    }


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    for content in ("old", "new"):
        with replacing_folder(path) as temporary:
            (temporary / content).write_text(content)
    assert names(path) == {"new"}
    assert names(tmp_path) == {"folder"}


def test_a_folder_stays_as_it_was_when_its_writing_fails(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    with replacing_folder(path) as temporary:
        (temporary / "old").write_text("old")
    with pytest.raises(FailureError), replacing_folder(path) as temporary:
        (temporary / "new").write_text("new")
        raise FailureError
    assert names(path) == {"old"}
    assert names(tmp_path) == {"folder"}


@pytest.fixture(params=["in one step", "in two"])
def changing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With and without a system that lets two folders change places."""
    if request.param == "in two":
        monkeypatch.setattr(files, "_renameat2", None)
    elif files._renameat2 is None:
        pytest.skip("this system has no renameat2")


def fill(folders: Iterable[Path], content: str) -> None:
    for folder in folders:
        (folder / content).write_text(content)


@pytest.mark.usefixtures("changing")
def test_folders_are_replaced_together_and_nothing_else_is_left(tmp_path: Path) -> None:
    paths = [tmp_path / "one", tmp_path / "two"]
    for content in ("old", "new"):
        with replacing_folders(paths) as folders:
            fill(folders, content)
    assert [names(path) for path in paths] == [{"new"}, {"new"}]
    assert names(tmp_path) == {"one", "two"}


@pytest.mark.usefixtures("changing")
@pytest.mark.parametrize("there", [True, False])
def test_where_the_last_of_several_folders_cannot_be_replaced_none_is(
    there: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [tmp_path / "one", tmp_path / "two"]
    if there:
        with replacing_folders(paths) as folders:
            fill(folders, "old")
    put = files._put

    def refuse_two(folder: Path, target: Path) -> Callable[[], None]:
        if target.name == "two":
            raise KeyboardInterrupt  # at the worst moment
        return put(folder, target)

    monkeypatch.setattr(files, "_put", refuse_two)
    with pytest.raises(KeyboardInterrupt), replacing_folders(paths) as folders:
        fill(folders, "new")
    assert names(tmp_path) == ({"one", "two"} if there else set())
    assert all(names(path) == {"old"} for path in paths if there)


def test_there_is_no_moment_without_the_folder(tmp_path: Path) -> None:
    if files._renameat2 is None:
        pytest.skip("this system has no renameat2")
    path = tmp_path / "folder"
    with replacing_folder(path) as folder:
        fill([folder], "content")
    done = threading.Event()
    missed: list[Path] = []

    def look() -> None:
        while not done.is_set():
            if not (path / "content").exists():
                missed.append(path)

    watcher = threading.Thread(target=look)
    watcher.start()
    for _ in range(50):
        with replacing_folder(path) as folder:
            fill([folder], "content")
    done.set()
    watcher.join()
    assert not missed


def test_a_folder_that_appears_at_the_last_moment_is_replaced_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "folder"
    real, late = Path.rename, [path]

    def rename(self: Path, target: Path) -> Path:
        if late and target == late[0]:
            late.pop().mkdir()
            fill([path], "somebody else's")
        return real(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    with replacing_folder(path) as folder:
        fill([folder], "new")
    assert not late
    assert names(path) == {"new"}


@pytest.mark.usefixtures("changing")
def test_a_link_stays_one_and_what_it_points_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "v1").mkdir()
    (tmp_path / "v1.txt").write_text("old")
    for name, target in (("latest", "v1"), ("latest.txt", "v1.txt"), ("later", "v2")):
        (tmp_path / name).symlink_to(target)
    for name in ("latest", "later"):
        with replacing_folder(tmp_path / name) as folder:
            fill([folder], "new")
    write_text(tmp_path / "latest.txt", "new")
    assert all((tmp_path / name).is_symlink() for name in ("latest", "later", "latest.txt"))
    assert names(tmp_path / "v1") == names(tmp_path / "v2") == {"new"}
    assert (tmp_path / "v1.txt").read_text() == "new"


def test_a_name_as_long_as_names_may_be_can_be_written(tmp_path: Path) -> None:
    name = "x" * 255
    write_text(tmp_path / name, "content")
    with replacing_folder(tmp_path / name[:-1]) as folder:
        fill([folder], "content")
    assert names(tmp_path) == {name, name[:-1]}


def left_behind(parent: Path, *inside: str) -> Path:
    """What a program that was killed an hour ago leaves."""
    place = parent / ".pwl-killed"
    for name in inside:
        (place / name).mkdir(parents=True)
    os.utime(place, (1, 1))
    return place


@pytest.mark.parametrize(
    ("inside", "swept"), [(["new"], True), (["new", "aside"], False), (["notes"], False)]
)
def test_what_a_killed_program_left_is_removed_unless_it_is_the_only_copy(
    inside: list[str], swept: bool, tmp_path: Path
) -> None:
    place = left_behind(tmp_path, *inside)
    with replacing_folder(tmp_path / "folder"):
        pass
    assert place.exists() is not swept


def test_what_another_program_is_writing_is_left_alone(tmp_path: Path) -> None:
    with replacing_folder(tmp_path / "one") as one:
        os.utime(one.parent, (1, 1))
        with replacing_folder(tmp_path / "two"):
            pass
        fill([one], "content")
    assert names(tmp_path / "one") == {"content"}


@pytest.mark.parametrize("making", [replacing, replacing_folder])
def test_a_full_disk_is_told_with_the_name_of_what_was_written(
    making: Callable[[Path], AbstractContextManager[Path]], tmp_path: Path
) -> None:
    with pytest.raises(OSError, match="No space") as caught, making(tmp_path / "it"):
        raise OSError(errno.ENOSPC, "No space left on device")  # as a write does: without a name
    assert caught.value.filename == str(tmp_path / "it")


@pytest.mark.parametrize("kind", [UsageError, DeviceError, IntegrityError])
def test_errors_cross_process_borders_whole(kind: type[UsageError]) -> None:
    error = kind("what", "remedy")
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), copy.code, copy.what, copy.remedy) == (kind, error.code, "what", "remedy")


def test_an_error_says_what_and_what_to_do() -> None:
    error = PipelineError(ExitCode.DEVICE, "it is gone", "plug it in")
    assert str(error) == "it is gone\n  remedy: plug it in"
