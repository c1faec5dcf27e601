"""Builds the native harness for this machine and collects it into a package."""

from __future__ import annotations

import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from pipeline.core.atomic_files import replacing_folder, sha256_of, write_text
from pipeline.core.errors import DeviceError, IntegrityError, UsageError
from pipeline.core.fingerprint import fingerprint
from pipeline.core.locks import using_folder
from pipeline.core.progress import Progress
from pipeline.toolchain.package import DESCRIPTION, Package, PackageDescription, PackagedFile

_ABIS = {"x86_64": "x86_64", "aarch64": "arm64-v8a"}
_SOURCES = Path(__file__).parents[2] / "android_harness"
_PACKAGE, _RECORD = "package", "built.json"
_STEP = re.compile(r"^\[(\d+)/(\d+)\]")


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
    key = fingerprint(
        [(str(path.relative_to(_SOURCES)), sha256_of(path)) for path in _source_files()],
        version("executorch"),
        version("ai-edge-litert"),
        platform.machine(),
        _compiler(),
    )
    if not _is_built(folder, key):
        with using_folder(folder, "build in another folder, with --work", progress):
            if not _is_built(folder, key):  # not even by a run that was waited for
                program = _compile(folder / "cmake", progress)
                _collect(program, folder / _PACKAGE)
                write_text(folder / _RECORD, json.dumps({"key": key}))
    return Package(folder / _PACKAGE, litert_library)


def _is_built(folder: Path, key: str) -> bool:
    """Whether a whole package of that key is there."""
    try:
        if json.loads((folder / _RECORD).read_text(encoding="utf-8")) != {"key": key}:
            return False
        Package(folder / _PACKAGE)
    except (OSError, ValueError, UsageError, IntegrityError):
        return False
    return True


def configure_command(build: Path, *options: str) -> list[str]:
    """The CMake call that configures the harness's sources for this machine in `build`."""
    return [
        tool("cmake"),
        *("-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={tool('ninja')}"),
        *("-S", str(_SOURCES), "-B", str(build), f"-DCMAKE_PREFIX_PATH={executorch_package()}"),
        *options,
    ]


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


def tool(name: str, remedy: str = "pip install 'cmake>=3.28' ninja") -> str:
    """The path of a build tool, preferring the one installed beside this Python.

    Args:
        name: of the tool.
        remedy: how it is installed.

    Raises:
        UsageError: it is not installed.
    """
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise UsageError(f"{name} is not installed", remedy)
    return found


@contextmanager
def _startable(command: Sequence[str]) -> Iterator[None]:
    """Names a program that is not there, or cannot be started, and how to come by it.

    A script whose interpreter is gone, as in an environment that was moved, is told like a missing
    program by the system.
    """
    try:
        yield
    except (FileNotFoundError, NotADirectoryError, PermissionError) as error:
        raise UsageError(
            f"{command[0]} cannot be started: {error.strerror}",
            _TOOLS.get(Path(command[0]).name, "install it, or correct PATH"),
        ) from None


_TOOLS = {
    "cmake": "pip install --force-reinstall 'cmake>=3.28' ninja, with the Python that runs this",
    "ldd": "apt-get install libc-bin, or correct PATH",
}


def _source_files() -> list[Path]:
    if not _SOURCES.is_dir():
        raise UsageError(
            f"{_SOURCES} is not there: the harness is built from a checkout of the repository",
            "run from a checkout, or name a built package with --harness",
        )
    names = ("include/**/*", "src/**/*", "harness/*", "cmake/*", "CMakeLists.txt")
    return sorted(p for name in names for p in _SOURCES.glob(name) if p.is_file())


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


def _compile(build: Path, progress: Progress) -> Path:
    _run(configure_command(build), build)
    command = [tool("cmake"), "--build", str(build), "--target", "pwl_harness"]
    with (
        progress.task("build harness", total=1) as task,
        _startable(command),
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        ) as process,
    ):
        said: list[str] = []
        done = 0.0
        for line in process.stdout or ():
            said.append(line)
            if step := _STEP.match(line):
                share = int(step[1]) / int(step[2])
                task.advance(share - done)
                done = share
    if process.returncode:
        raise DeviceError(
            "the harness does not build:\n" + "".join(said[-40:]),
            "see the compiler's words; a compiler of C++17 is needed (CXX), and a whole checkout. "
            f"{build} can be removed",
        )
    return build / "pwl_harness"


def _run(command: list[str], build: Path) -> None:
    build.mkdir(parents=True, exist_ok=True)
    with _startable(command):
        result = subprocess.run(command, capture_output=True, errors="replace", check=False)
    if result.returncode:
        raise DeviceError(
            f"CMake cannot configure the harness:\n{result.stdout[-2000:]}{result.stderr[-4000:]}",
            f"remove {build} if it belongs to another environment",
        )


def _collect(program: Path, package: Path) -> None:
    """Puts the program, its shared libraries and their loader into a folder of their own."""
    litert = installed_litert_library()
    libraries, loader = _needed_by(program)
    libraries |= _needed_by(litert)[0] | {litert.name: litert}
    # What the wheel's libraries ask for besides (libdl and libpthread) is empty in today's glibc,
    # but the loader still wants to find it, so all that ldd lists travels.
    content = {"pwl_harness": program, f"lib/{loader.name}": loader}
    content |= {f"lib/{name}": path for name, path in libraries.items()}
    with replacing_folder(package) as folder:
        (folder / "lib").mkdir()
        files = []
        for name, source in sorted(content.items()):
            target = folder / name
            shutil.copyfile(source, target)
            target.chmod(0o755)
            executable = name in ("pwl_harness", f"lib/{loader.name}")
            files.append(PackagedFile(path=name, sha256=sha256_of(target), executable=executable))
        description = PackageDescription(
            abi=_ABIS.get(platform.machine(), platform.machine()),
            engines={
                "executorch": f"executorch {version('executorch')}",
                "litert": f"litert {version('ai-edge-litert')}",
            },
            program="pwl_harness",
            litert=f"lib/{litert.name}",
            loader=f"lib/{loader.name}",
            libraries="lib",
            files=tuple(files),
        )
        text = json.dumps(description.model_dump(mode="json"), indent=1)
        (folder / DESCRIPTION).write_text(text + "\n", encoding="utf-8")


def _needed_by(binary: Path) -> tuple[dict[str, Path], Path]:
    """The shared libraries of a program or library by name, and the dynamic loader it asks for."""
    command = [tool("ldd", "apt-get install libc-bin"), str(binary)]
    with _startable(command):
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
