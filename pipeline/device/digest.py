"""What a device already has: the sha256 of many files in few commands."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from pipeline.core.errors import DeviceError
from pipeline.device.base import Device

#: One line for each path, in their order, so that no name, however odd, has to be read back.
HASH_EACH = 'for f do { [ -f "$f" ] && sha256sum < "$f"; } 2>/dev/null || echo absent; done'
#: Bytes of quoted paths in one command: an adb server takes 64 kB, with the shell's part in it.
COMMAND_BYTES = 48 * 1024
#: Seconds for each of the commands.
_DEADLINE_S = 600.0


def device_sha256(device: Device, paths: Iterable[PurePosixPath]) -> dict[PurePosixPath, str]:
    """Hashes files where they are.

    Args:
        device: where the files are.
        paths: absolute paths on the device.

    Returns:
        The sha256 (64 hexadecimal digits) of each file that exists and can be read; the others are
        absent.

    Raises:
        DeviceError: the device has no sha256sum.
        DeviceTimeoutError, DeviceGoneError: as for `Device.run`.
    """
    digests: dict[PurePosixPath, str] = {}
    for batch in batches(paths):
        words = [str(path) for path in batch]
        done = device.run(["sh", "-c", HASH_EACH, "sh", *words], deadline_s=_DEADLINE_S)
        lines = done.stdout.decode("ascii", "replace").splitlines()
        if done.returncode != 0 or len(lines) != len(batch):
            raise DeviceError(
                f"{device.spec} could not hash files: {done.stderr.decode('utf-8', 'replace')}",
                "a shell and sha256sum (Android 8 or later) are needed on the device",
            )
        for path, line in zip(batch, lines, strict=True):
            digest = line.partition(" ")[0]
            if len(digest) == 64:
                digests[path] = digest
    return digests


def batches(paths: Iterable[PurePosixPath]) -> Iterator[list[PurePosixPath]]:
    """Divides paths among commands that are not too long for ADB."""
    batch: list[PurePosixPath] = []
    used = 0
    for path in paths:
        size = len(shlex.quote(str(path)).encode("utf-8", "surrogateescape")) + 1
        if batch and used + size > COMMAND_BYTES:
            yield batch
            batch, used = [], 0
        batch.append(path)
        used += size
    if batch:
        yield batch
