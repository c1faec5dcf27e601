"""How much room a device has."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from pipeline.device.base import Device

#: Argument: a folder that is there. What is no number is of no use to anybody.
_FREE = 'stat -f -c "%a %S" "$1" 2>/dev/null || df -Pk "$1" 2>/dev/null'
_BLOCKS = re.compile(rb"(\d{1,20}) (\d{1,20})\s*")
#: The only line of `df -Pk` that has numbers: of kB, of those in use, of those that are free.
_KILOBYTES = re.compile(rb"\s\d+\s+\d+\s+(\d{1,20})\s+\d+%\s")


def free_bytes(device: Device, folder: PurePosixPath) -> int | None:
    """What may still be written below a folder; None where the device does not say.

    Raises:
        DeviceTimeoutError, DeviceGoneError: as for `Device.run`.
    """
    done = device.run(["sh", "-c", _FREE, "sh", str(folder)], deadline_s=30.0)
    if blocks := _BLOCKS.fullmatch(done.stdout):
        return int(blocks[1]) * int(blocks[2])
    if kilobytes := _KILOBYTES.search(done.stdout):
        return int(kilobytes[1]) * 1024
    return None
