"""What a device behind ADB says of itself, asked in one round trip."""

from __future__ import annotations

import re

from pipeline.device.adb.link import Link
from pipeline.device.base import DeviceProperties

#: Asks a device for all of it.
PROPERTIES = """
uname -s; uname -r; uname -m
grep -c ^processor /proc/cpuinfo
grep ^MemTotal: /proc/meminfo || echo
getprop 2>/dev/null
exit 0
"""
#: System, release, machine, processors, memory in kB. What follows may hold anything.
_ANSWER = re.compile(r"(.+)\n(.+)\n(.+)\n(\d+)\n(?:MemTotal: *(\d+) kB)?\n")
_PROPERTY = re.compile(r"^\[(.+?)\]: \[(.*?)\]$", re.MULTILINE | re.DOTALL)
#: Recorded with every measurement, where the device knows them.
_RECORDED = (
    "ro.product.manufacturer",
    "ro.product.device",
    "ro.soc.manufacturer",
    "ro.soc.model",
    "ro.hardware",
    "ro.boot.qemu",
    "ro.kernel.qemu",
    "ro.build.characteristics",
    "ro.build.id",
    "ro.board.platform",
    "ro.build.fingerprint",
    "ro.build.version.security_patch",
)
_ABI_OF_MACHINE = {"aarch64": "arm64-v8a", "armv7l": "armeabi-v7a", "armv8l": "armeabi-v7a"}


def parsed_properties(text: str, link: Link) -> DeviceProperties | None:
    """What `PROPERTIES` printed on the device that a link leads to; None where it is no answer."""
    answer = _ANSWER.match(text)
    if answer is None:
        return None
    system, release, machine, cores, memory = answer.groups()
    properties = dict(_PROPERTY.findall(text, answer.end()))
    android = properties.get("ro.build.version.release")
    sdk = properties.get("ro.build.version.sdk", "")
    return DeviceProperties(
        kind="adb",
        serial=link.serial,
        model=properties.get("ro.product.model") or machine,
        abi=properties.get("ro.product.cpu.abi") or _ABI_OF_MACHINE.get(machine, machine),
        system=f"Android {android}" if android else f"{system} {release}",
        sdk=int(sdk) if sdk.isdigit() else None,
        cores=int(cores),
        memory_bytes=int(memory) * 1024 if memory else None,
        extra={
            "kernel": f"{system} {release}",
            "adb.route": link.route,
            **{name: properties[name] for name in _RECORDED if properties.get(name)},
        },
    )
