"""The harness's C++ sources, and CMake, which compiles them."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pipeline.core.atomic_files import sha256_of
from pipeline.core.children import run, started
from pipeline.core.errors import DeviceError, UsageError
from pipeline.core.progress import Progress

SOURCES = Path(__file__).parents[2] / "android_harness"
#: The program that is packaged, and its CMake target.
PROGRAM = "pwl_harness"
_STEP = re.compile(r"^\[(\d+)/(\d+)\]")
_COMPILED = ("include/**/*", "src/**/*", "harness/*", "cmake/*", "CMakeLists.txt")
_TOOLS = {
    "cmake": "pip install --force-reinstall 'cmake>=3.28' ninja, with the Python that runs this",
    "ldd": "apt-get install libc-bin, or correct PATH",
}


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
def startable(command: Sequence[str]) -> Iterator[None]:
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


def source_digests() -> list[tuple[str, str]]:
    """Path and sha256 of every file that the harness is compiled from.

    Raises:
        UsageError: this is no checkout of the repository.
    """
    if not SOURCES.is_dir():
        raise UsageError(
            f"{SOURCES} is not there: the harness is built from a checkout of the repository",
            "run from a checkout, or name a built package with --harness",
        )
    files = sorted(path for name in _COMPILED for path in SOURCES.glob(name) if path.is_file())
    return [(str(path.relative_to(SOURCES)), sha256_of(path)) for path in files]


def compiler_version(compiler: Sequence[str], remedy: str) -> str:
    """The first line of what a C++ compiler says about itself.

    Args:
        compiler: how it is called.
        remedy: how it is installed.

    Raises:
        UsageError: it cannot be called.
    """
    try:
        command = [*compiler, "--version"]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=True)
    except (OSError, ValueError, subprocess.CalledProcessError):
        raise UsageError(f"there is no C++ compiler {' '.join(compiler)}", remedy) from None
    return done.stdout.partition("\n")[0]


def configure(
    build: Path, packages: Iterable[Path], *options: str, sources: Path | None = None
) -> list[str]:
    """The CMake call that configures sources in `build`.

    What belongs to a library or a program is compiled as one unit: most of the time goes into the
    headers, once for each unit.

    Args:
        build: the build tree.
        packages: folders in which CMake looks for the packages of inference libraries.
        options: further arguments.
        sources: the folder of their CMakeLists.txt; by default the harness's.
    """
    prefixes = ";".join(str(folder.resolve()) for folder in packages)
    return [
        tool("cmake"),
        *("-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={tool('ninja')}"),
        *("-S", str(sources or SOURCES), "-B", str(build), f"-DCMAKE_PREFIX_PATH={prefixes}"),
        *("-DCMAKE_UNITY_BUILD=ON", "-DCMAKE_UNITY_BUILD_BATCH_SIZE=0"),
        *options,
    ]


def compile_harness(command: list[str], build: Path, progress: Progress) -> Path:
    """Configures by `command`, builds, and returns the program.

    Raises:
        UsageError: CMake or Ninja cannot be started.
        DeviceError: the build failed; the compiler's words are in the message.
    """
    _run_configure(command, build)
    command = [tool("cmake"), "--build", str(build), "--target", PROGRAM]
    with (
        progress.task("build harness", total=1) as task,
        startable(command),
        started(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        ) as process,
    ):
        output: list[str] = []
        done = 0.0
        for line in process.stdout or ():
            output.append(line)
            if step := _STEP.match(line):
                share = int(step[1]) / int(step[2])
                task.advance(share - done)
                done = share
    if process.returncode:
        raise DeviceError(
            "the harness does not build:\n" + "".join(output[-40:]),
            "see the compiler's words; a compiler of C++17 is needed (CXX), and a whole checkout. "
            f"{build} can be removed",
        )
    return build / PROGRAM


def _run_configure(command: list[str], build: Path) -> None:
    build.mkdir(parents=True, exist_ok=True)
    with startable(command):
        result = run(command)
    if result.returncode:
        raise DeviceError(
            f"CMake cannot configure the harness:\n{result.stdout[-2000:]}{result.stderr[-4000:]}",
            f"remove {build} if it belongs to another environment",
        )
