"""Which devices a command line names, before any of them is asked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from pipeline.core.errors import PipelineError, UsageError
from pipeline.device.connect import every_device, require_spec

#: Names every device of the adb server.
ALL_DEVICES = "all"
#: A folder's name is no longer than this, and ends as the device's name does.
_LONGEST = 80


@dataclass(frozen=True, slots=True)
class NamedDevice:
    """A device that is to be measured.

    Attributes:
        spec: as `pipeline.device.connect.connect` takes it.
        folder: name of the folder of its report, which no other device has.
        listed: whether it is meant by ``all`` only, not by its name.
        problem: why it cannot be used, where the adb server says so.
    """

    spec: str
    folder: str
    listed: bool = False
    problem: PipelineError | None = None


def are_several(specs: Sequence[str]) -> bool:
    """Whether devices are measured side by side: ``all`` is several, however many there are."""
    return len(specs) > 1 or ALL_DEVICES in specs


def named_devices(
    specs: Sequence[str], device_folder: PurePosixPath | None = None
) -> list[NamedDevice]:
    """Every device that is named, those of the adb server in the place of ``all``.

    Args:
        specs: at least one, as a user writes them.
        device_folder: where to work on ADB devices.

    Raises:
        UsageError: one names no device, or is given twice.
        DeviceError: ``all``, and there is no adb server, or no device.
    """
    for spec in specs:
        if specs.count(spec) > 1:
            raise UsageError(f"--device {spec} is given twice", "give each device once")
        if spec != ALL_DEVICES:
            require_spec(spec, device_folder)
    found: dict[str, PipelineError | None] = {}
    for spec in specs:
        found |= every_device() if spec == ALL_DEVICES else {spec: None}
    folders: list[str] = []
    devices = []
    for spec, problem in found.items():
        folders.append(_another(folder_name(spec), folders))
        listed = spec not in specs
        devices.append(NamedDevice(spec, folders[-1], listed, problem if listed else None))
    return devices


def folder_name(spec: str) -> str:
    """What a folder for a device may be called, such as ``adb-192.168.1.20-5555``."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", spec)[-_LONGEST:].lstrip("-.") or "device"


def _another(name: str, taken: Sequence[str]) -> str:
    """The name, with a number where another device has it."""
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}-{number}"
    return free
