from __future__ import annotations

import errno
import pickle
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from pipeline.errors import DeviceError, ExitCode, IntegrityError, PipelineError, UsageError
from pipeline.files import replacing, replacing_folder, write_text


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
