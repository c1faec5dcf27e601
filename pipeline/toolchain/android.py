"""Builds the harness for Android's own C library, with Google's NDK and libraries built by it.

Neither comes from a package index; all are named by the environment: an inference library that is
linked, such as ExecuTorch, by NAME_ANDROID. One that the harness opens when it runs, such as the
libLiteRt.so of LiteRT's AAR, is named with --library.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from pipeline.core.atomic_files import sha256_of
from pipeline.core.errors import UsageError
from pipeline.core.fingerprint import fingerprint
from pipeline.core.progress import Progress
from pipeline.settings import BACKENDS
from pipeline.toolchain.cmake import SOURCES, compile_harness, configure, source_digests
from pipeline.toolchain.engines import Engines
from pipeline.toolchain.package import Package
from pipeline.toolchain.package_contents import Contents, package_of
from pipeline.toolchain.target import Target

NDK = "ANDROID_NDK"


def build_for_android(target: Target, folder: Path, progress: Progress) -> Package:
    """The harness for Android, built in `folder` unless nothing changed since the last time.

    Args:
        target: ABI and API level.
        folder: where it is built and packed.
        progress: told how far the compiler is.

    Raises:
        UsageError: the environment names no NDK, or no library for Android.
        DeviceError: the build failed; the compiler's words are in the message.
    """
    ndk = _folder(NDK, "build/cmake/android.toolchain.cmake", "the Android NDK, r26 or later")
    linked = {
        name: _folder(f"{name.upper()}_ANDROID", "lib/cmake", f"{name}, built by the NDK")
        for name, spec in BACKENDS.items()
        if spec.runtime.opened is None
    }
    revision = ndk / "source.properties"
    key = fingerprint(
        source_digests(),
        target.name,
        sha256_of(revision) if revision.is_file() else str(ndk),
        [sha256_of(path) for one in linked.values() for path in sorted((one / "lib").glob("*.a"))],
    )
    return package_of(
        folder, key, partial(_collect, target, folder / "cmake", linked, progress), progress
    )


def _collect(
    target: Target, build: Path, linked: Mapping[str, Path], progress: Progress
) -> Contents:
    installed = Engines.installed().names
    engines = {name: installed[name] for name in linked}
    command = configure(
        build,
        linked.values(),
        f"-DCMAKE_TOOLCHAIN_FILE={SOURCES / 'cmake' / 'android.cmake'}",
        f"-DANDROID_ABI={target.abi}",
        f"-DANDROID_PLATFORM=android-{target.api}",
        # An install tree need not say which version it is: that which the exporter writes for.
        *(
            f"-DPWL_{name.upper()}_VERSION={engine.partition(' ')[2]}"
            for name, engine in engines.items()
        ),
    )
    return Contents(target, engines, compile_harness(command, build, progress))


def _folder(variable: str, inside: str, what: str) -> Path:
    """The folder that the environment names, in which something known has to be."""
    value = os.environ.get(variable)
    if not value or not (Path(value) / inside).exists():
        found = f"{variable}={value} has no {inside}" if value else f"{variable} is not set"
        raise UsageError(
            f"{found}: a harness for Android's C library is built with {what}",
            f"export {variable}=FOLDER (docs/phone.md); linux-arm64 needs neither",
        )
    return Path(value).resolve()
