"""The package for 64-bit Arm: whole in itself, and fit for every phone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.core.errors import DeviceError, UsageError
from pipeline.core.progress import Silent
from pipeline.toolchain import linux_arm64
from pipeline.toolchain.elf import MACHINES, Elf
from pipeline.toolchain.linux_arm64 import PAGE_BYTES, build_for_linux_arm64
from pipeline.toolchain.package import Package
from tests.fixtures import ROOT
from tests.toolchain.elves import write_elf


@pytest.fixture(scope="module")
def binaries(arm64_package: Package) -> dict[str, Elf]:
    """Every file of the package by its name."""
    return {Path(path).name: Elf.read(file.source) for path, file in arm64_package.files.items()}


def test_everything_in_it_is_for_arm(binaries: dict[str, Elf]) -> None:
    assert {elf.machine for elf in binaries.values()} == {MACHINES["arm64-v8a"]}


def test_everything_in_it_can_be_mapped_with_pages_of_16_kb(binaries: dict[str, Elf]) -> None:
    for name, elf in binaries.items():
        assert elf.segments, name
        for segment in elf.segments:
            assert segment.align >= PAGE_BYTES, name
            assert segment.fits_pages_of(PAGE_BYTES), name


def test_whatever_a_file_of_it_asks_for_is_in_it(binaries: dict[str, Elf]) -> None:
    asked = {name for elf in binaries.values() for name in elf.needed}
    assert {"libexecutorch.so", "libstdc++.so.6", "libc.so.6"} <= asked
    assert asked <= binaries.keys()


def test_it_says_how_it_is_started_and_what_it_runs(arm64_package: Package) -> None:
    described = arm64_package.description
    assert (described.target, described.abi) == ("linux-arm64", "arm64-v8a")
    assert described.engines == {"executorch": "executorch 1.5.1", "litert": "litert 2.3.0"}
    assert described.loader == "lib/ld-linux-aarch64.so.1"
    executable = {path for path, file in arm64_package.files.items() if file.executable}
    assert executable == {described.program, described.loader}


def test_the_program_finds_its_libraries_wherever_it_is_put(binaries: dict[str, Elf]) -> None:
    runpath = binaries["pwl_harness"].runpath
    assert "$ORIGIN/lib" in runpath
    assert all(folder.startswith("$ORIGIN") for folder in runpath)


def test_a_built_package_is_copied_where_the_command_is_told(
    arm64_package: Package, tmp_path: Path
) -> None:
    script, out = str(ROOT / "scripts" / "build-harness"), str(tmp_path / "package")
    done = subprocess.run(
        [sys.executable, script, "linux-arm64", "--out", out, "--work", str(ROOT / "build")],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert (done.returncode, done.stdout) == (0, f"{out}\n"), done.stderr
    assert Package(Path(out)).description == arm64_package.description


def test_a_missing_cross_compiler_is_told_with_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(UsageError, match=r"no C\+\+ compiler aarch64-linux-gnu-g\+\+") as caught:
        build_for_linux_arm64(tmp_path, Silent())
    assert "apt-get install g++-aarch64-linux-gnu" in caught.value.remedy
    assert not list(tmp_path.iterdir())


def test_a_library_that_large_pages_cannot_map_is_refused(tmp_path: Path) -> None:
    fit = write_elf(tmp_path / "fit.so")
    linux_arm64._require_pages([fit])
    with pytest.raises(DeviceError, match=r"small\.so cannot be mapped .* 16384 bytes"):
        linux_arm64._require_pages([fit, write_elf(tmp_path / "small.so", align=0x1000)])


def test_a_program_that_looks_for_libraries_on_this_machine_is_refused(tmp_path: Path) -> None:
    for runpath in (None, "$ORIGIN/lib"):
        program = write_elf(tmp_path / "program", runpath=runpath)
        linux_arm64._require_own_libraries(program, Elf.read(program))
    foreign = write_elf(tmp_path / "program", runpath="$ORIGIN/lib:/opt/lib")
    with pytest.raises(DeviceError, match=r"program looks for libraries in /opt/lib"):
        linux_arm64._require_own_libraries(foreign, Elf.read(foreign))
