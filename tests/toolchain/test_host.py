"""The harness of this machine: built when it has to be, and never left broken."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.core.errors import DeviceError, UsageError
from pipeline.core.progress import Progress, Silent
from pipeline.toolchain import host as toolchain
from pipeline.toolchain.host import build_for_host, configure_command
from pipeline.toolchain.package import Package
from tests.fixtures import ROOT


@pytest.fixture
def built(harness_package: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which the harness has been built; the compiler gives that program again."""
    shutil.copytree(harness_package.root, tmp_path / "package")
    shutil.copy(harness_package.root.parent / "built.json", tmp_path)
    compiled = harness_package.root / "pwl_harness"

    def compile_(command: list[str], build: Path, progress: Progress) -> Path:
        (build.parent / "compiled").touch()
        return compiled

    monkeypatch.setattr(toolchain, "compile_harness", compile_)
    return tmp_path


def test_what_is_built_is_not_built_again_and_needs_no_lock(built: Path) -> None:
    build_for_host(built, Silent())
    assert {path.name for path in built.iterdir()} == {"package", "built.json"}


@pytest.mark.parametrize("name", ["pwl_harness", "harness.json"])
def test_a_damaged_package_is_built_again(name: str, built: Path) -> None:
    with (built / "package" / name).open("ab") as file:
        file.write(b"x")
    package = build_for_host(built, Silent())
    assert (built / "compiled").exists()
    assert Package(package.root).files.keys() == package.files.keys()


def test_a_missing_ldd_is_told_with_its_package(
    built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(UsageError, match="ldd is not installed") as caught:
        toolchain._needed_by(built / "package" / "pwl_harness")
    assert "libc-bin" in caught.value.remedy


def test_a_file_that_ldd_cannot_read_is_told(built: Path) -> None:
    with pytest.raises(DeviceError, match=r"ldd cannot read .*built\.json"):
        toolchain._needed_by(built / "built.json")


@pytest.mark.skipif(platform.machine() != "x86_64", reason="asks the compiler for x86")
def test_a_target_of_32_bits_is_refused_in_words(tmp_path: Path) -> None:
    # Without multilib nothing can be linked, which CMake would try first.
    only_compiled = "-DCMAKE_TRY_COMPILE_TARGET_TYPE=STATIC_LIBRARY"
    command = configure_command(tmp_path, "-DCMAKE_CXX_FLAGS=-m32", only_compiled)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "PWL needs a 64-bit target" in " ".join(done.stderr.split())


#: A build that would take long, told to end when it has begun.
BUILDING = """
import sys
from pathlib import Path
from pipeline.core.command_line import command
from pipeline.core.progress import Silent
from pipeline.toolchain import cmake
cmake.tool = lambda name: str(Path(name).absolute())
command(lambda: cmake.compile_harness(["true"], Path("build"), Silent()))([])
"""


@pytest.mark.parametrize(("name", "status"), [("INT", 130), ("TERM", 143)])
def test_a_build_that_is_told_to_end_does_not_wait_for_the_compiler(
    name: str, status: int, tmp_path: Path
) -> None:
    (tmp_path / "cmake").write_text(f"#!/bin/sh\nkill -{name} $PPID\nsleep 600 & wait\n")
    (tmp_path / "cmake").chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-c", BUILDING],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        timeout=60,
    )
    assert done.returncode == status, done.stderr
