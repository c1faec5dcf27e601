"""The adb server's list of devices, and which of them a user means."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.core.errors import DeviceError, PipelineError, UsageError

READY = "device"
#: States that end by themselves.
ABOUT_TO_BE = ("authorizing", "connecting")
#: These, and the one that ends when the device's owner presses Allow.
TRANSIENT = (*ABOUT_TO_BE, "unauthorized")

_LINE = re.compile(
    r"(?P<serial>\(no serial number\)|\S+(?: \(\d+\)\S*)?)\s+"
    r"(?P<state>no permissions.*?(?:\]|(?= \w+:)|$)|\w+)"
    r"(?P<facts>(?: \S+)*)\s*"
)
_RESTART = "start it normally: `adb -s {serial} reboot`"
_WAIT = "wait a moment, then start again; if it stays so, unplug and plug it again"
_REMEDIES = {
    "unauthorized": 'unlock the device\'s screen and press "Allow USB debugging"; if it does not '
    "ask: unplug and plug it again, or revoke the USB debugging authorizations in its developer "
    "options first",
    "authorizing": _WAIT,
    "connecting": _WAIT,
    "offline": "{reconnect}; if that does not help, restart the device",
    "recovery": _RESTART,
    "sideload": _RESTART,
    "rescue": _RESTART,
    "bootloader": "start it normally: `fastboot -s {serial} reboot`",
    "detached": "give it to the adb server again: `adb -s {serial} attach`",
    "no permissions": "install the udev rules (Debian, Ubuntu: apt-get install "
    "android-sdk-platform-tools-common), be a member of the group plugdev, then `adb kill-server` "
    "and plug the device in again",
}


@dataclass(frozen=True, slots=True)
class Listed:
    """A device as the adb server lists it.

    Attributes:
        serial: what the server calls it.
        state: ``device`` when it can be used; ``unauthorized``, ``offline``, ``recovery``...
        facts: such as ``model`` and ``product``, where the server knows them.
    """

    serial: str
    state: str
    facts: dict[str, str]

    @property
    def transport(self) -> str:
        """The server's request for it: by a number that no later connection to it has."""
        number = self.facts.get("transport_id")  # since adb 27
        return f"host:transport-id:{number}" if number else f"host:transport:{self.serial}"

    def __str__(self) -> str:
        return f"adb:{self.serial}  {self.state}  {self.facts.get('model', '')}".rstrip()


def parse_devices(text: str) -> list[Listed]:
    """Reads the answer to ``host:devices-l``; lines that are none of a device are left out."""
    return [
        Listed(found["serial"], found["state"], dict(re.findall(r"(\w+):(\S+)", found["facts"])))
        for line in text.splitlines()
        if (found := _LINE.fullmatch(line))
    ]


def choose_device(listed: Sequence[Listed], serial: str | None, server: object) -> Listed:
    """The device that a user means, ready or not: the named one, or the only one.

    Args:
        listed: all that there are.
        serial: the name; None for the only one that is ready or, where none is, the only one.
        server: the adb server, for messages.

    Raises:
        UsageError: none is named, and there are several.
        DeviceError: there is none, or none of that name.
    """
    if serial is not None:
        named = [each for each in listed if each.serial == serial]
        if not named:
            remedy = (
                "name one of these"
                if listed
                else "check the cable, and that USB debugging is on; over the network: "
                "`adb connect HOST:PORT`"
            )
            if os.environ.get("ANDROID_SERIAL") == serial:
                remedy += "; or unset ANDROID_SERIAL, which names it"
            raise DeviceError(
                f"the adb server at {server} has no device {serial}" + _table(listed), remedy
            )
        if len(named) > 1:
            raise UsageError(
                f"{len(named)} devices have the serial number {serial}" + _table(named),
                "unplug all but one of them",
            )
        return named[0]
    _require_any(listed, server)
    ready = [each for each in listed if each.state == READY]
    candidates = ready or list(listed)
    if len(candidates) > 1:
        what = f"{len(ready)} devices are ready" if ready else "several devices, none of them ready"
        raise UsageError(
            f"which device is meant? The adb server at {server} has {what}" + _table(listed),
            "name one, with --device adb:SERIAL or in ANDROID_SERIAL",
        )
    return candidates[0]


def by_spec(listed: Sequence[Listed], server: object) -> dict[str, PipelineError | None]:
    """Every device by the spec that names it, with why it cannot be used, if so.

    Args:
        listed: all that there are.
        server: the adb server, for messages.

    Raises:
        DeviceError: there is none.
    """
    _require_any(listed, server)
    found: dict[str, PipelineError | None] = {}
    for device in listed:
        try:
            choose_device(listed, device.serial, server)
        except PipelineError as error:  # several of one serial number
            found[f"adb:{device.serial}"] = error
        else:
            able = device.state in (READY, *ABOUT_TO_BE)
            found[f"adb:{device.serial}"] = None if able else not_ready(device)
    return found


def _require_any(listed: Sequence[Listed], server: object) -> None:
    if not listed:
        raise DeviceError(
            f"the adb server at {server} has no device",
            "plug one in with USB debugging on, start an emulator, or name a device's own "
            "address: adb:HOST:PORT",
        )


def not_ready(device: Listed) -> DeviceError:
    """The error where a device is in another state than ``device``."""
    kind = "no permissions" if device.state.startswith("no permissions") else device.state
    reconnect = "unplug and plug it again, or `adb reconnect offline`"
    if re.search(r":\d+$", device.serial):
        reconnect = f"`adb disconnect {device.serial}`, then `adb connect {device.serial}`"
    remedy = _REMEDIES.get(kind, "start it normally, with USB debugging on")
    reason = "this user has no permissions for it" if kind == "no permissions" else kind
    return DeviceError(
        f"adb:{device.serial} cannot be used: {reason}",
        remedy.format(serial=device.serial, reconnect=reconnect),
    )


def _table(listed: Sequence[Listed]) -> str:
    return ":\n    " + "\n    ".join(map(str, listed)) if listed else ""
