"""What is read from ELF files, and which libraries a program needs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pipeline.core.errors import DeviceError
from pipeline.toolchain.closure import closure
from pipeline.toolchain.elf import MACHINES, Elf
from pipeline.toolchain.target import Target
from tests.toolchain.elves import write_elf

ARM, X86 = MACHINES["arm64-v8a"], MACHINES["x86_64"]


def test_a_program_names_its_loader_its_libraries_and_where_they_are(tmp_path: Path) -> None:
    path = write_elf(
        tmp_path / "program",
        ["libone.so", "libtwo.so.6"],
        interpreter="/lib/ld-linux-aarch64.so.1",
        runpath="$ORIGIN/lib:/opt",
    )
    elf = Elf.read(path)
    assert elf.machine == ARM
    assert elf.needed == ("libone.so", "libtwo.so.6")
    assert elf.interpreter == "/lib/ld-linux-aarch64.so.1"
    assert elf.runpath == ("$ORIGIN/lib", "/opt")


@pytest.mark.skipif(sys.platform != "linux", reason="its programs are no ELF files")
def test_this_python_is_read_as_the_system_reads_it() -> None:
    elf = Elf.read(Path(sys.executable).resolve())
    assert elf.machine == MACHINES[Target.host().abi]
    assert elf.interpreter is not None
    assert Path(elf.interpreter).is_file()
    assert "libc.so.6" in elf.needed


@pytest.mark.parametrize(("align", "fits"), [(0x1000, False), (0x4000, True), (0x10000, True)])
def test_only_segments_that_are_aligned_so_fit_pages_of_16_kb(
    align: int, fits: bool, tmp_path: Path
) -> None:
    (segment,) = Elf.read(write_elf(tmp_path / "lib.so", align=align)).segments
    assert segment.fits_pages_of(16384) is fits
    assert segment.fits_pages_of(4096)


@pytest.mark.parametrize("kept", [0, 10, 63, 100, 240])
def test_a_file_that_is_cut_short_is_told(kept: int, tmp_path: Path) -> None:
    path = write_elf(tmp_path / "lib.so", ["libone.so"])
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DeviceError, match=r"lib\.so is no whole 64-bit ELF file"):
        Elf.read(path)


def test_a_closure_holds_what_libraries_need_in_turn_and_ends_in_a_circle(tmp_path: Path) -> None:
    write_elf(tmp_path / "a.so", ["b.so"])
    write_elf(tmp_path / "b.so", ["a.so", "c.so"])
    write_elf(tmp_path / "c.so")
    write_elf(tmp_path / "other.so")
    program = write_elf(tmp_path / "program", ["a.so"])
    assert closure([program], [tmp_path], "arm64-v8a").keys() == {"a.so", "b.so", "c.so"}


def test_libraries_are_taken_from_the_first_folder_that_has_them_for_that_processor(
    tmp_path: Path,
) -> None:
    folders = [tmp_path / name for name in ("x86", "first", "second")]
    for folder, machine in zip(folders, (X86, ARM, ARM), strict=True):
        folder.mkdir()
        write_elf(folder / "a.so", machine=machine)
    program = write_elf(tmp_path / "program", ["a.so"])
    found = closure([program], folders, "arm64-v8a")
    assert found == {"a.so": (tmp_path / "first" / "a.so").resolve()}


def test_a_library_that_is_nowhere_is_told_with_who_needs_it(tmp_path: Path) -> None:
    write_elf(tmp_path / "a.so", ["libmissing.so"])
    program = write_elf(tmp_path / "program", ["a.so"])
    with pytest.raises(DeviceError, match=r"a\.so needs libmissing\.so, which is nowhere"):
        closure([program], [tmp_path], "arm64-v8a")


def test_a_library_for_other_processors_alone_is_told(tmp_path: Path) -> None:
    write_elf(tmp_path / "a.so", machine=X86)
    program = write_elf(tmp_path / "program", ["a.so"])
    with pytest.raises(DeviceError, match=r"needs a\.so, which is only for other processors"):
        closure([program], [tmp_path], "arm64-v8a")
