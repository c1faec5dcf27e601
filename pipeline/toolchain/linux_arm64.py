"""Builds the harness for 64-bit Arm with Debian's cross compiler: no NDK, no phone, no emulator.

It is a Linux program with glibc and the dynamic loader beside it, which starts from a phone's
shell. That is enough for parity, accuracy and a first look at timings; an app runs on bionic.
"""

from __future__ import annotations

import subprocess
from functools import partial
from pathlib import Path

from pipeline.core.atomic_files import sha256_of
from pipeline.core.errors import DeviceError, UsageError
from pipeline.core.fingerprint import fingerprint
from pipeline.core.progress import Progress
from pipeline.toolchain.closure import closure
from pipeline.toolchain.cmake import (
    SOURCES,
    compile_harness,
    compiler_version,
    configure,
    source_digests,
)
from pipeline.toolchain.elf import Elf
from pipeline.toolchain.engines import Engines
from pipeline.toolchain.package import Package
from pipeline.toolchain.package_contents import Contents, package_of
from pipeline.toolchain.target import LINUX_ARM64
from pipeline.toolchain.wheels import Wheels

WHEELS = Wheels(
    Path(__file__).with_name("linux_arm64.txt"),
    ("manylinux_2_28_aarch64", "manylinux_2_27_aarch64"),
)
#: The largest pages that Android runs on. https://developer.android.com/guide/practices/page-sizes
PAGE_BYTES = 16384
_COMPILER = "aarch64-linux-gnu-g++"
_INSTALL_COMPILER = (
    "apt-get install g++-aarch64-linux-gnu (Debian 12, Ubuntu 22.04 or later), or name a built "
    "package with --harness"
)


def build_for_linux_arm64(folder: Path, progress: Progress) -> Package:
    """The harness for 64-bit Arm, built in `folder` unless nothing changed since the last time.

    Args:
        folder: where wheels are kept, and where it is built and packed.
        progress: told how far the compiler is.

    Raises:
        UsageError: the cross compiler is missing, or other versions of the inference libraries are
            installed than are pinned.
        DeviceError: wheels cannot be fetched, the build failed, or a library cannot be mapped by
            phones with pages of 16 KB.
        IntegrityError: a wheel is another one than is pinned.
    """
    WHEELS.require_installed_versions()
    compiler = compiler_version([_COMPILER], _INSTALL_COMPILER)
    libraries = _cross_libraries()
    key = fingerprint(source_digests(), WHEELS.digest, compiler, sha256_of(libraries / "libc.so.6"))
    return package_of(folder, key, partial(_collect, folder, libraries, progress), progress)


def _collect(folder: Path, libraries: Path, progress: Progress) -> Contents:
    engines = Engines.unpacked(WHEELS.unpacked(folder, progress), WHEELS.versions)
    build = folder / "cmake"
    toolchain = f"-DCMAKE_TOOLCHAIN_FILE={SOURCES / 'cmake' / 'linux-arm64.cmake'}"
    command = configure(build, engines.folders.values(), toolchain)
    program = compile_harness(command, build, progress)
    headers = Elf.read(program)
    _require_own_libraries(program, headers)
    loader = headers.interpreter
    if loader is None:
        raise DeviceError(
            f"{program} names no dynamic loader", "leave static flags out of CXXFLAGS and LDFLAGS"
        )
    opened = {library.name: library for library in engines.opened.values()}
    places = [*(path / "lib" for path in engines.folders.values()), libraries]
    found = closure([program, *opened.values()], places, LINUX_ARM64.abi) | opened
    found.setdefault(Path(loader).name, (libraries / Path(loader).name).resolve())
    _require_pages([program, *found.values()])
    return Contents(
        target=LINUX_ARM64,
        engines=engines.names,
        program=program,
        libraries={name: path for name, path in found.items() if name != Path(loader).name},
        opened={name: library.name for name, library in engines.opened.items()},
        loader=libraries / Path(loader).name,
    )


def _cross_libraries() -> Path:
    """The folder of Arm's C and C++ libraries on this machine, which the compiler knows."""
    done = subprocess.run([_COMPILER, "-print-file-name=libc.so.6"], capture_output=True, text=True)
    path = Path(done.stdout.strip())
    if not path.is_absolute():  # the compiler repeats the name of what it does not find
        raise UsageError(
            f"{_COMPILER} finds no C library for 64-bit Arm",
            "apt-get install libc6-dev-arm64-cross",
        )
    return path.resolve().parent


def _require_own_libraries(program: Path, headers: Elf) -> None:
    if foreign := [folder for folder in headers.runpath if not folder.startswith("$ORIGIN")]:
        raise DeviceError(
            f"{program} looks for libraries in {foreign[0]}, which is a folder of this machine",
            "leave -rpath out of LDFLAGS: what it needs travels beside it",
        )


def _require_pages(binaries: list[Path]) -> None:
    for binary in binaries:
        if not all(segment.fits_pages_of(PAGE_BYTES) for segment in Elf.read(binary).segments):
            raise DeviceError(
                f"{binary} cannot be mapped by phones with pages of {PAGE_BYTES} bytes",
                "use Debian's cross compiler and the pinned wheels, whose files can be",
            )
