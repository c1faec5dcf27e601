"""From the name of a device, as users write it, to the device."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from pipeline.core.errors import PipelineError, UsageError
from pipeline.device.base import Device

FORMS = (
    "local (this machine), local:FOLDER, adb (the only device), adb:SERIAL, emulator-5554, "
    "adb:HOST:PORT (such as adb:192.168.1.20:5555), adb:usb or adb:usb:SERIAL (without adb server)"
)
ADB_ADDRESS = re.compile(r"(?P<host>\[[0-9A-Fa-f:.%\w]+\]|[^\s:\[\]]+):(?P<port>[0-9]{1,5})")
EMULATOR = re.compile(r"emulator-[0-9]+")
#: As USB devices, emulators and wireless debugging ("adb-R5CN-x (2)._adb-tls-connect._tcp") have.
SERIAL = re.compile(r"[^\s:]+(?: [^\s:]+)*")
USB = re.compile(r"usb(?::(?P<serial>[^\s:]+))?")
#: Seconds that an ADB device may stay silent where it owes an answer. With it, one that hangs is
#: noticed within 15 s in a run: 0.4 of it pass before it is asked, and all of it until it has to
#: have answered.
TIMEOUT_S = 10.0


def require_spec(spec: str, folder: PurePosixPath | None = None) -> None:
    """Makes sure that a spec can name a device, which is not looked for.

    Args:
        spec: one of `FORMS`.
        folder: where to work on an ADB device.

    Raises:
        UsageError: there is no such form of spec, or the folder is none to work in there.
    """
    kind, separator, rest = spec.partition(":")
    if kind == "local" and bool(separator) == bool(rest):
        if folder is not None:
            raise UsageError(
                f"--device-folder {folder} is for ADB devices, and the device is {spec}",
                f"write --device local:{folder}",
            )
        return
    named = _address(rest) or USB.fullmatch(rest) or SERIAL.fullmatch(rest) or spec == "adb"
    if not EMULATOR.fullmatch(spec) and (kind != "adb" or not named):
        raise UsageError(f"{spec!r} names no device", f"write one of: {FORMS}")
    if folder is not None and (not folder.is_absolute() or len(folder.parts) < 2):
        raise UsageError(
            f"--device-folder {folder} is not a folder to work in",
            "give an absolute path of its own, such as /data/local/tmp/me",
        )


def _address(text: str) -> re.Match[str] | None:
    """A host and a port, where that is what the text is."""
    found = ADB_ADDRESS.fullmatch(text)
    return found if found is not None and 0 < int(found["port"]) < 65536 else None


def every_device() -> dict[str, PipelineError | None]:
    """The specs of all devices of the adb server, which is started as `connect` does.

    Returns:
        By spec, why the device cannot be used; None where it can be, or is about to be ready.

    Raises:
        UsageError: the server's address is set to something else.
        DeviceError: there is no device, or no server.
    """
    from pipeline.device.adb.dial import Dialer

    return Dialer(TIMEOUT_S, 0.0, ()).every_device()


def connect(
    spec: str,
    *,
    timeout_s: float = TIMEOUT_S,
    consent_timeout_s: float = 60.0,
    keys: Sequence[Path] = (),
    folder: PurePosixPath | None = None,
) -> Device:
    """Opens the device that a spec names.

    ``adb``, a serial and an emulator are devices of the adb server, which is started where it does
    not run and there is an `adb`; ADB_SERVER_SOCKET, ANDROID_ADB_SERVER_ADDRESS and
    ANDROID_ADB_SERVER_PORT say where it is, ANDROID_SERIAL which device ``adb`` is. An address is
    that of a device of the server, where it runs and has one ready, else one to connect to.

    Args:
        spec: one of `FORMS`.
        timeout_s: seconds that an ADB device may stay silent where it owes an answer: on
            connecting, and between two messages of a transfer.
        consent_timeout_s: seconds that the owner of an ADB device has to allow this host's key.
        keys: RSA private keys to offer before ``~/.android/adbkey`` and those of ADB_VENDOR_KEYS.
        folder: where to work on an ADB device, instead of /data/local/tmp/pwl.

    Raises:
        UsageError: there is no such form of spec, it names several devices, or the folder is none.
        DeviceError: the device cannot be reached, does not speak ADB, or does not let this host in.
    """
    require_spec(spec, folder)
    kind, _, rest = spec.partition(":")
    if kind == "local":
        from pipeline.device.local import LocalDevice

        return LocalDevice(Path(rest) if rest else None)
    if EMULATOR.fullmatch(spec):
        rest = spec
    address, usb = _address(rest), USB.fullmatch(rest)

    # What ADB needs, cryptography above all, takes longer to import than a local run takes.
    from pipeline.device.adb.device import WORKDIR, AdbDevice
    from pipeline.device.adb.dial import Dialer

    workdir = folder or WORKDIR
    dialer = Dialer(timeout_s, consent_timeout_s, tuple(keys))
    if address is not None:
        host, port = address["host"].strip("[]"), int(address["port"])
        return AdbDevice(spec, dialer.to_address(rest, host, port), workdir)
    if usb is not None:
        return AdbDevice(spec, dialer.to_usb(usb["serial"]), workdir)
    serial = rest or os.environ.get("ANDROID_SERIAL") or dialer.only_serial()
    return AdbDevice(spec if rest else f"adb:{serial}", dialer.to_serial(serial), workdir)
