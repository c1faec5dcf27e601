"""The harness for a target, by whoever builds for it."""

from __future__ import annotations

from pathlib import Path

from pipeline.core.progress import Progress
from pipeline.toolchain.package import Package
from pipeline.toolchain.target import LINUX_ARM64, Target


def build_harness(target: Target, folder: Path, progress: Progress) -> Package:
    """The harness for a target, built in `folder` unless nothing changed since the last time.

    Args:
        target: what it is for.
        folder: of all targets; each has one of its own below it.
        progress: told how far the compiler is.

    Raises:
        UsageError: something that the build needs is not installed.
        DeviceError: the build failed; the compiler's words are in the message.
        IntegrityError: something fetched is not what is pinned.
    """
    place = folder / target.name
    if target == Target.host():
        from pipeline.toolchain.host import build_for_host

        return build_for_host(place, progress)
    if target == LINUX_ARM64:
        from pipeline.toolchain.linux_arm64 import build_for_linux_arm64

        return build_for_linux_arm64(place, progress)
    from pipeline.toolchain.android import build_for_android

    return build_for_android(target, place, progress)
