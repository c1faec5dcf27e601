"""Builds the harness for Android's own C library, with Google's NDK and an ExecuTorch built by it.

Neither comes from a package index; both are named by the environment. LiteRT is a library that the
harness opens when it runs: the libLiteRt.so of LiteRT's AAR, named with --litert-library.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

from pipeline.core.atomic_files import sha256_of
from pipeline.core.errors import UsageError
from pipeline.core.fingerprint import fingerprint
from pipeline.core.progress import Progress
from pipeline.toolchain.cmake import SOURCES, compile_harness, configure, source_digests
from pipeline.toolchain.contents import Contents, package_of
from pipeline.toolchain.host import engine_versions
from pipeline.toolchain.package import Package
from pipeline.toolchain.target import Target

NDK, EXECUTORCH = "ANDROID_NDK", "EXECUTORCH_ANDROID"


def build_for_android(
    target: Target, folder: Path, progress: Progress, litert_library: Path | None = None
) -> Package:
    """The harness for Android, built in `folder` unless nothing changed since the last time.

    Args:
        target: ABI and API level.
        folder: where it is built and packed.
        progress: told how far the compiler is.
        litert_library: libLiteRt.so for that ABI; without it, only ExecuTorch's bundles run.

    Raises:
        UsageError: the environment names no NDK, or no ExecuTorch for Android.
        DeviceError: the build failed; the compiler's words are in the message.
    """
    ndk = _folder(NDK, "build/cmake/android.toolchain.cmake", "the Android NDK, r26 or later")
    executorch = _folder(EXECUTORCH, "lib/cmake/ExecuTorch", "ExecuTorch, built by the NDK")
    revision = ndk / "source.properties"
    key = fingerprint(
        source_digests(),
        target.name,
        sha256_of(revision) if revision.is_file() else str(ndk),
        [sha256_of(path) for path in sorted((executorch / "lib").glob("*.a"))],
    )
    collect = partial(_collect, target, folder / "cmake", executorch, progress)
    return package_of(folder, key, collect, progress, litert_library)


def _collect(target: Target, build: Path, executorch: Path, progress: Progress) -> Contents:
    versions = engine_versions()
    command = configure(
        build,
        executorch,
        f"-DCMAKE_TOOLCHAIN_FILE={SOURCES / 'cmake' / 'android.cmake'}",
        f"-DANDROID_ABI={target.abi}",
        f"-DANDROID_PLATFORM=android-{target.api}",
        f"-DPWL_EXECUTORCH_VERSION={versions['executorch'].partition(' ')[2]}",
    )
    program = compile_harness(command, build, progress)
    return Contents(target, {"executorch": versions["executorch"]}, program)


def _folder(variable: str, inside: str, what: str) -> Path:
    """The folder that the environment names, in which something known has to be."""
    said = os.environ.get(variable)
    if not said or not (Path(said) / inside).exists():
        found = f"{variable}={said} has no {inside}" if said else f"{variable} is not set"
        raise UsageError(
            f"{found}: a harness for Android's C library is built with {what}",
            f"export {variable}=FOLDER (docs/phone.md); linux-arm64 needs neither",
        )
    return Path(said).resolve()
