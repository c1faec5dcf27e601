"""Kotlin's compiler, the native library and the JVM, as the tests of the Kotlin library use them.

The compiler is npm's kotlin-compiler, which brings coroutines; it is kept below build/.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.core.atomic_files import sha256_of
from pipeline.core.fingerprint import fingerprint
from pipeline.toolchain.cmake import configure, tool
from pipeline.toolchain.engines import Engines
from tests.android.debian import packaged_file
from tests.fixtures import ROOT, locked

COMPILER = "kotlin-compiler@2.4.20"
LIBRARY = ROOT / "android_harness" / "android" / "pwl" / "src" / "main" / "kotlin" / "dev" / "pwl"
SAMPLE = ROOT / "android_harness" / "android" / "sample"
TESTS = Path(__file__).parent / "kotlin"
STUBS = Path(__file__).parent / "stubs"
JNI = ROOT / "android_harness" / "jni"
PLACE = ROOT / "build" / "kotlin"
#: Ours, as in android_harness/CMakeLists.txt; no consumer inherits them.
WARNINGS = (
    "-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion -Wold-style-cast "
    "-Wnon-virtual-dtor -Woverloaded-virtual -Werror -g0"
)


@dataclass(frozen=True, slots=True)
class Kotlin:
    """A compiler, with the libraries that it brings."""

    root: Path

    def jars(self, *names: str) -> str:
        return ":".join(str(self.root / "lib" / f"{name}.jar") for name in names)

    @property
    def runtime(self) -> str:
        """What every program of it needs."""
        return self.jars("kotlin-stdlib", "kotlinx-coroutines-core-jvm")

    def compile(self, sources: Sequence[Path], jar: Path, *options: str, needs: str = "") -> Path:
        """Compiles without a single warning, unless that was done before with the same sources."""
        read = list(sources)
        for part in map(Path, filter(None, needs.split(":"))):
            read += sorted(part.rglob("*.class")) if part.is_dir() else [part]
        key = fingerprint(COMPILER, options, [(str(path), sha256_of(path)) for path in read])
        record = jar.with_suffix(".key")
        if jar.exists() and record.exists() and record.read_text() == key:
            return jar
        tools = ("kotlin-compiler", "kotlin-stdlib", "kotlin-script-runtime", "kotlin-reflect")
        classes = self.jars(*tools, "kotlinx-coroutines-core-jvm", "annotations-13.0")
        command = [
            *("java", "-Xmx768m", "-XX:TieredStopAtLevel=1", "-cp", classes),
            *("org.jetbrains.kotlin.cli.jvm.K2JVMCompiler", "-kotlin-home", str(self.root)),
            *("-Werror", "-jvm-target", "11", "-no-reflect", *options),
            *("-cp", ":".join(filter(None, (self.runtime, needs))), "-d", str(jar)),
            *map(str, sources),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        record.write_text(key)
        return jar


def kotlin() -> Kotlin:
    """The compiler; skips the test where it cannot be had."""
    for name in ("java", "javac", "npm"):
        if shutil.which(name) is None:
            pytest.skip(f"not here: {name}")
    PLACE.mkdir(parents=True, exist_ok=True)
    with locked(PLACE / "compiler.lock"):
        root = PLACE / COMPILER.replace("@", "-")
        if not root.exists():
            with npm_package(COMPILER) as packed:
                packed.extractall(PLACE / "unpacked", filter="data")
            (PLACE / "unpacked" / "package").rename(root)
    return Kotlin(root)


@contextmanager
def npm_package(name: str) -> Iterator[tarfile.TarFile]:
    """A package, fetched and gone when the block ends; skips the test where it cannot be had."""
    command = ["npm", "pack", "--silent", name]
    done = subprocess.run(command, cwd=PLACE, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"not here: {name} of npm: {done.stderr.strip()[:200]}")
    archive = PLACE / done.stdout.split()[-1]
    with tarfile.open(archive) as packed:
        yield packed
    archive.unlink()


@contextmanager
def class_path(compiler: Kotlin) -> Iterator[str]:
    """That of library, sample and tests, compiled; nobody else compiles until the block ends.

    Library and sample are compiled for the Java and the Android of API level 23, where they can be
    had: what came later is an error. Tests run on stand-ins of their classes, of Play's asset
    delivery and of ExecuTorch's AAR.
    """
    with locked(PLACE / "classes.lock"):
        android, libraries = _stubs()
        library, platform, real = _library(compiler, android, libraries)
        sample = compiler.compile(
            sorted((SAMPLE / "app" / "src").rglob("*.kt")),
            PLACE / "sample.jar",
            *real,
            needs=f"{platform}:{library}",
        )
        running = f"{library}:{sample}:{android}:{libraries}"
        tests = compiler.compile(sorted(TESTS.rglob("*.kt")), PLACE / "tests.jar", needs=running)
        yield f"{running}:{tests}:{compiler.runtime}"


@contextmanager
def library_path(compiler: Kotlin) -> Iterator[str]:
    """The class path of the library alone, for programs that need nothing of Android."""
    with locked(PLACE / "classes.lock"):
        library, _, _ = _library(compiler, *_stubs())
        yield f"{library}:{compiler.runtime}"


def _library(compiler: Kotlin, android: Path, libraries: Path) -> tuple[Path, str, Sequence[str]]:
    """The library, what it was compiled against, and the option for Android's own classes."""
    jar = android_jar()
    platform = f"{jar or android}:{libraries}"
    real = ("-no-jdk",) if jar else ()
    sources = sorted(LIBRARY.rglob("*.kt"))
    options = ("-Xexplicit-api=strict", *real)
    return compiler.compile(sources, PLACE / "pwl.jar", *options, needs=platform), platform, real


def android_jar() -> Path | None:
    """Android's classes of API level 23, the latest in Debian; None where they cannot be had."""
    file = "usr/lib/android-sdk/platforms/android-23/android.jar"
    return packaged_file("bullseye", "libandroid-23-java", file)


def _stubs() -> tuple[Path, Path]:
    """Stand-ins for Android and for other libraries, compiled: in folders of their own, because
    nothing is compiled against those of Android where there is Android's own.
    """
    android, libraries = PLACE / "stubs" / "platform", PLACE / "stubs" / "libraries"
    shutil.rmtree(PLACE / "stubs", ignore_errors=True)
    sources = sorted(map(str, STUBS.rglob("*.java")))
    command = ["javac", "-nowarn", "--release", "11", "-d", str(libraries), *sources]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    android.mkdir()
    (libraries / "android").rename(android / "android")
    return android, libraries


def jvm(classes: str, native: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs a program on a JVM that checks every call of the native half: see `complaints`."""
    command = [
        *("java", "-Xcheck:jni", f"-Djava.library.path={native}"),
        # Whatever processors and memory there are: what a heap of its own choice still grows by
        # would pass for what closed models leave.
        *("-XX:+UseSerialGC", "-Xms64m", "-Xmn16m", "-Xmx512m"),
        *("--add-opens", "java.base/java.io=ALL-UNNAMED"),  # the number of a descriptor
        *("-cp", classes, *arguments),
    ]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=900,
        env={**os.environ, "LC_ALL": "C.UTF-8", "MALLOC_ARENA_MAX": "1"},
    )


def complaints(done: subprocess.CompletedProcess[str]) -> list[str]:
    """What -Xcheck:jni had to say: pending exceptions, wrong types, references that leak."""
    said = r"WARNING in native method.*|WARNING: JNI .*|FATAL ERROR.*"
    return re.findall(said, done.stdout + done.stderr)


def native_library(build: Path = ROOT / "build" / "jni", kind: str = "Debug") -> Path:
    """The folder with libpwl_jni.so for the JVM of this machine, both engines in it."""
    # Tests optimize nothing: what is computed is in the inference libraries.
    return build_for_jvm(JNI, build, f"-DCMAKE_BUILD_TYPE={kind}", f"-DCMAKE_CXX_FLAGS={WARNINGS}")


def build_for_jvm(sources: Path, build: Path, *options: str) -> Path:
    """Builds what the JVM of this machine can load, and gives its folder, which is `build`.

    Args:
        sources: the folder of its CMakeLists.txt.
        build: the build tree.
        options: further arguments of CMake.
    """
    java = shutil.which("java")
    home = Path(java).resolve().parents[1] if java else Path()
    if not (home / "include" / "jni.h").exists():
        pytest.skip("not here: jni.h of a JDK")
    with locked(build.parent / "jni.lock"):
        packages = [Engines.installed().folders["executorch"]]
        for command in (
            configure(build, packages, *options, sources=sources),
            [tool("cmake"), "--build", str(build)],
        ):
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                check=False,
                env={**os.environ, "JAVA_HOME": str(home)},
            )
            assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return build
