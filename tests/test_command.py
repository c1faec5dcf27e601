"""What every command does with errors that nothing else took."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from pipeline.command import command
from pipeline.errors import ExitCode


def ending(error: BaseException) -> Result:
    def work() -> None:
        raise error

    return CliRunner().invoke(command(work), [])


def system_error(number: int, path: str | None) -> OSError:
    return OSError(number, os.strerror(number), path)


def test_a_full_disk_is_told_and_no_regression() -> None:
    result = ending(system_error(errno.ENOSPC, "dist/app"))
    assert result.exit_code == ExitCode.DEVICE
    assert "error: dist/app: No space left on device" in result.stderr
    assert "remedy: make room there" in result.stderr


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOTDIR, errno.ENOENT])
def test_a_folder_that_cannot_be_written_is_named(number: int) -> None:
    result = ending(system_error(number, "dist/app"))
    assert result.exit_code == ExitCode.USAGE
    assert f"error: dist/app: {os.strerror(number)}" in result.stderr
    assert "remedy: name a folder that can be written" in result.stderr


def test_a_file_in_the_place_of_a_folder_is_called_that(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = ending(system_error(errno.EEXIST, str(tmp_path / "file")))
    assert "file: is there already, and no folder" in result.stderr


def test_an_error_of_the_program_itself_keeps_its_traceback() -> None:
    error = system_error(errno.EBADF, None)
    assert ending(error).exception is error
