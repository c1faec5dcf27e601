"""Builds the native harness for this machine."""

from __future__ import annotations

import os
import shlex
import subprocess
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from pipeline.core.errors import DeviceError, UsageError
from pipeline.core.fingerprint import fingerprint
from pipeline.core.progress import Progress
from pipeline.toolchain.cmake import compile_harness, configure, source_digests, startable, tool
from pipeline.toolchain.contents import Contents, package_of
from pipeline.toolchain.package import Package
from pipeline.toolchain.target import Target


def build_for_host(folder: Path, progress: Progress, litert_library: Path | None = None) -> Package:
    """The harness for this machine, built in `folder` unless nothing changed since the last time.

    Another run that builds in the same folder is waited for.

    Args:
        folder: where it is built and packed.
        progress: told how far the compiler is.
        litert_library: a libLiteRt.so to take instead of the installed package's.

    Raises:
        UsageError: the C++ sources, a compiler, CMake or Ninja are missing.
        DeviceError: the build failed; the compiler's words are in the message.
    """
    key = fingerprint(source_digests(), engine_versions(), Target.host().abi, _compiler())
    collect = partial(_collect, folder / "cmake", progress)
    return package_of(folder, key, collect, progress, litert_library)


def engine_versions() -> dict[str, str]:
    """Name and version of the installed inference library, by the backend that it runs."""
    return {
        "executorch": f"executorch {version('executorch')}",
        "litert": f"litert {version('ai-edge-litert')}",
    }


def configure_command(build: Path, *options: str) -> list[str]:
    """The CMake call that configures the harness's sources for this machine in `build`."""
    return configure(build, executorch_package(), *options)


def executorch_package() -> Path:
    """Where CMake finds ExecuTorch: the executorch package, which brings a CMake package."""
    return _installed("executorch")


def installed_litert_library() -> Path:
    """libLiteRt.so of the ai-edge-litert package."""
    return _installed("ai_edge_litert") / "libLiteRt.so"


def _installed(package: str) -> Path:
    """The folder of a Python package, which is not imported."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise UsageError(f"the package {package} is not installed", "pip install -e .")
    return Path(next(iter(spec.submodule_search_locations)))


def _compiler() -> str:
    """The first line of what the compiler says about itself; CMake takes CXX with flags, too."""
    compiler = os.environ.get("CXX") or "c++"
    try:
        words = [*shlex.split(compiler), "--version"]
        done = subprocess.run(words, capture_output=True, errors="replace", check=True)
    except (OSError, ValueError, subprocess.CalledProcessError):
        raise UsageError(
            f"there is no C++ compiler ({compiler})", "apt-get install g++, or set CXX"
        ) from None
    return done.stdout.partition("\n")[0]


def _collect(build: Path, progress: Progress) -> Contents:
    """Compiles the program, and finds its shared libraries and their loader."""
    program = compile_harness(configure_command(build), build, progress)
    litert = installed_litert_library()
    libraries, loader = _needed_by(program)
    libraries |= _needed_by(litert)[0] | {litert.name: litert}
    # What the wheel's libraries ask for besides (libdl and libpthread) is empty in today's glibc,
    # but the loader still wants to find it, so all that ldd lists travels.
    return Contents(Target.host(), engine_versions(), program, libraries, litert.name, loader)


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
