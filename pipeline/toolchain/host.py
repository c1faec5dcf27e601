"""Builds the native harness for this machine."""

from __future__ import annotations

import os
import shlex
import subprocess
from functools import partial
from pathlib import Path

from pipeline.core.errors import DeviceError
from pipeline.core.fingerprint import fingerprint
from pipeline.core.progress import Progress
from pipeline.toolchain.cmake import (
    compile_harness,
    compiler_version,
    configure,
    source_digests,
    startable,
    tool,
)
from pipeline.toolchain.engines import Engines
from pipeline.toolchain.package import Package
from pipeline.toolchain.package_contents import Contents, package_of
from pipeline.toolchain.target import Target


def build_for_host(folder: Path, progress: Progress) -> Package:
    """The harness for this machine, built in `folder` unless nothing changed since the last time.

    Another run that builds in the same folder is waited for.

    Args:
        folder: where it is built and packed.
        progress: told how far the compiler is.

    Raises:
        UsageError: the C++ sources, a compiler, CMake or Ninja are missing.
        DeviceError: the build failed; the compiler's words are in the message.
    """
    engines = Engines.installed()
    key = fingerprint(source_digests(), engines.names, Target.host().abi, _compiler())
    return package_of(folder, key, partial(_collect, folder / "cmake", engines, progress), progress)


def configure_command(build: Path, *options: str) -> list[str]:
    """The CMake call that configures the harness's sources for this machine in `build`."""
    return configure(build, Engines.installed().folders.values(), *options)


def _compiler() -> str:
    """What the compiler says about itself; CMake takes CXX with flags, too."""
    compiler = os.environ.get("CXX") or "c++"
    return compiler_version(shlex.split(compiler), "apt-get install g++, or set CXX")


def _collect(build: Path, engines: Engines, progress: Progress) -> Contents:
    """Compiles the program, and finds its shared libraries and their loader."""
    program = compile_harness(configure_command(build), build, progress)
    libraries, loader = _needed_by(program)
    # What the wheels' libraries ask for besides (libdl and libpthread) is empty in today's glibc,
    # but the loader still wants to find it, so all that ldd lists travels.
    for library in engines.opened.values():
        libraries |= _needed_by(library)[0] | {library.name: library}
    opened = {name: library.name for name, library in engines.opened.items()}
    return Contents(Target.host(), engines.names, program, libraries, opened, loader)


def _needed_by(binary: Path) -> tuple[dict[str, Path], Path]:
    """The shared libraries of a program or library by name, and the dynamic loader it asks for."""
    command = [tool("ldd", "apt-get install libc-bin"), str(binary)]
    with startable(command):
        listing = subprocess.run(command, capture_output=True, errors="replace", check=False)
    if listing.returncode:
        raise DeviceError(
            f"ldd cannot read {binary}: {(listing.stdout + listing.stderr).strip()}",
            f"remove {binary}, which is then built again",
        )
    libraries: dict[str, Path] = {}
    loader: Path | None = None
    for line in listing.stdout.splitlines():
        name, _, rest = line.strip().partition(" => ")
        path = Path((rest or name).split(" (")[0])
        if "not found" in line:
            raise DeviceError(
                f"{binary} needs {name}, which is not found",
                "install the package that it is in, or name its folder in LD_LIBRARY_PATH",
            )
        if rest:
            libraries[name] = path
        elif path.is_absolute():
            loader = path
    if loader is None:
        raise DeviceError(
            f"{binary} names no dynamic loader",
            "build it as a dynamically linked program: leave static flags out of CXXFLAGS, LDFLAGS",
        )
    return libraries, loader
