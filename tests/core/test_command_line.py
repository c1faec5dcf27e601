"""What every command does with errors that nothing else took."""

from __future__ import annotations

import errno
import importlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from pipeline.core import release
from pipeline.core.command_line import command
from pipeline.core.errors import ExitCode
from tests.fixtures import ROOT


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


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOTDIR])
def test_a_folder_that_cannot_be_written_is_named(number: int) -> None:
    result = ending(system_error(number, "dist/app"))
    assert result.exit_code == ExitCode.USAGE
    assert f"error: dist/app: {os.strerror(number)}" in result.stderr
    assert "remedy: name a folder that can be written" in result.stderr


def test_a_file_in_the_place_of_a_folder_is_called_that(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = ending(system_error(errno.EEXIST, str(tmp_path / "file")))
    assert "file: is there already, and no folder" in result.stderr


def test_an_error_of_the_program_itself_keeps_its_traceback_and_is_no_regression() -> None:
    result = ending(system_error(errno.EBADF, None))
    assert result.exit_code == ExitCode.DEVICE
    assert "Traceback" in result.stderr
    assert "a fault of the pipeline itself (OSError)" in result.stderr
    assert "please report the lines above" in result.stderr


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("no"),
        EOFError(),
        AssertionError(),
        RecursionError(),
        MemoryError(),
        SystemExit(1),
        UnicodeEncodeError("utf-8", "caf\udce9", 3, 4, "surrogates not allowed"),
        ModuleNotFoundError("No module named 'torch'", name="torch"),
        system_error(errno.EIO, "dist/app"),
        system_error(errno.EMFILE, None),
        typer.Abort(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_whatever_ends_a_command_it_is_never_read_as_a_regression(error: BaseException) -> None:
    result = ending(error)
    assert result.exit_code in (ExitCode.USAGE, ExitCode.DEVICE)
    assert "error: " in result.stderr


def test_a_command_that_judged_may_end_with_one() -> None:
    assert ending(typer.Exit(1)).exit_code == ExitCode.REGRESSION


def test_a_program_that_cannot_be_started_is_not_told_as_a_folder() -> None:
    def work() -> None:
        subprocess.run(["no-such-program"], check=True)

    result = CliRunner().invoke(command(work), [])
    assert result.exit_code == ExitCode.USAGE
    assert "the program no-such-program cannot be started" in result.stderr
    assert "install it" in result.stderr
    assert "folder that can be written" not in result.stderr


def test_the_file_that_could_not_be_written_is_named_and_not_the_one_read() -> None:
    error = OSError(errno.ENOSPC, "No space left on device", "cache/unit", None, "dist/unit")
    assert "error: dist/unit: No space left" in ending(error).stderr


LOCATED = ("build", "train", "evaluate", "inspect", "profile", "check", "compare", "trace")


@pytest.mark.parametrize("name", LOCATED)
def test_every_command_says_its_release_and_the_checkout_that_it_runs_from(name: str) -> None:
    program = getattr(importlib.import_module(f"pipeline.{name}"), name)
    result = CliRunner().invoke(program, ["--version"])
    assert result.exit_code == 0
    assert result.stdout.startswith(f"pwl-android {release.release()}\nfrom {ROOT}\n")


def test_the_commit_is_told_where_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(release, "_ROOT", tmp_path)
    assert release.commit() is None
    author = ("-c", "user.name=a", "-c", "user.email=a@b")
    for words in (("init",), (*author, "commit", "--allow-empty", "-m", "first")):
        subprocess.run(["git", "-C", tmp_path, *words], check=True, capture_output=True)
    assert re.fullmatch("[0-9a-f]{40}", release.commit() or "")
    assert release.description().endswith(f"from {tmp_path}\ncommit {release.commit()}")


@pytest.mark.parametrize("name", LOCATED)
def test_words_that_are_not_utf_8_are_wrong_usage(name: str, tmp_path: Path) -> None:
    odd = str(tmp_path / "caf\udce9")  # as Python gives a command b"caf\xe9"
    more = ["--gates", odd] if name == "check" else []
    program = getattr(importlib.import_module(f"pipeline.{name}"), name)
    for words in ([odd], ["--cache", odd, odd], [f"--{odd}"]):
        result = CliRunner().invoke(program, [*words, *more])
        assert result.exit_code == ExitCode.USAGE, result.stderr
        assert "Traceback" not in result.stderr


def test_such_a_word_is_shown_on_a_real_terminal_too(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "pipeline.build", b"caf\xe9.toml"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, capture_output=True, cwd=tmp_path, env=env)
    assert done.returncode == ExitCode.USAGE
    assert rb"error: caf\udce9.toml: no such file" in done.stderr


@pytest.mark.parametrize("name", LOCATED)
def test_without_its_packages_a_command_is_told_and_no_regression(
    name: str, tmp_path: Path
) -> None:
    """As by the system's Python, outside of the environment."""
    (tmp_path / "typer.py").write_text("raise ModuleNotFoundError('none', name='typer')")
    done = subprocess.run(
        [sys.executable, "-m", f"pipeline.{name}", "x"],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": f"{tmp_path}:{ROOT}", "PATH": "/usr/bin:/bin"},
    )
    assert done.returncode == ExitCode.USAGE
    assert done.stderr.startswith("error: the package typer is not installed for ")
    assert "\n  remedy: run the Python of the environment" in done.stderr


@pytest.mark.parametrize("name", LOCATED)
@pytest.mark.parametrize("words", [["x", "--out", ""], [""], ["x", "--out="], ["x", "--cache", ""]])
def test_an_empty_word_is_a_variable_that_was_not_set_and_no_current_folder(
    words: list[str], name: str
) -> None:
    program = getattr(importlib.import_module(f"pipeline.{name}"), name)
    result = CliRunner().invoke(program, words)
    assert result.exit_code == ExitCode.USAGE
    assert "error: an empty word" in result.stderr


WAITING = """
import os, sys, time
from joblib import Parallel, delayed
from pipeline.core.command_line import command

def work() -> None:
    def piece(number):
        os.write(1, b"started\\n")
        time.sleep(600)
    list(Parallel(n_jobs=2, return_as="generator_unordered")(delayed(piece)(n) for n in (1, 2)))

command(work)()
"""


CLEANING_UP = """
import os, sys, time
from pipeline.core.command_line import command

class Signals:
    def __del__(self):
        os.kill(os.getpid(), int(sys.argv.pop()))
        time.sleep(0)  # Python drops what is raised here

def work() -> None:
    Signals()
    time.sleep(600)

command(work)([])
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_that_comes_while_python_cleans_up_is_not_lost(
    number: signal.Signals, code: int
) -> None:
    program = [sys.executable, "-c", CLEANING_UP, str(int(number))]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(program, capture_output=True, text=True, env=env, timeout=60)
    assert done.returncode == code
    assert done.stderr.endswith("; what is finished is kept\n")
    assert "Exception ignored" not in done.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_command_that_is_told_to_end_stops_its_workers_and_says_one_line(
    number: signal.Signals, code: int
) -> None:
    program = subprocess.Popen(
        [sys.executable, "-c", WAITING],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert program.stdout is not None
    assert program.stdout.readline() == "started\n"
    program.send_signal(number)
    # Reads until the workers, who hold the same pipes, are gone as well.
    _, said = program.communicate(timeout=60)
    assert program.returncode == code
    assert said == f"ended by {number.name}; what is finished is kept\n"
