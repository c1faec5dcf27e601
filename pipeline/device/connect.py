"""From the name of a device, as users write it, to the device."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from pipeline.core.errors import UsageError
from pipeline.device.base import Device

FORMS = "local (this machine), local:FOLDER, adb:HOST:PORT (such as adb:192.168.1.20:5555)"
ADB_ADDRESS = re.compile(r"(?P<host>\[[0-9A-Fa-f:.%\w]+\]|[^\s:\[\]]+):(?P<port>[0-9]{1,5})")


def connect(
    spec: str,
    *,
    timeout_s: float = 10.0,
    consent_timeout_s: float = 60.0,
    keys: Sequence[Path] = (),
) -> Device:
    """Opens the device that a spec names.

    Args:
        spec: ``local``, ``local:FOLDER`` or ``adb:HOST:PORT``.
        timeout_s: seconds that an ADB device may stay silent where it owes an answer: on
            connecting, and between two messages of a transfer.
        consent_timeout_s: seconds that the owner of an ADB device has to allow this host's key.
        keys: RSA private keys to offer before ``~/.android/adbkey`` and those of ADB_VENDOR_KEYS.

    Raises:
        UsageError: there is no such form of spec.
        DeviceError: the device cannot be reached, does not speak ADB, or does not let this host in.
    """
    kind, separator, rest = spec.partition(":")
    if kind == "local" and bool(separator) == bool(rest):
        from pipeline.device.local import LocalDevice

        return LocalDevice(Path(rest) if rest else None)
    address = ADB_ADDRESS.fullmatch(rest) if kind == "adb" else None
    if address is None or not 0 < int(address["port"]) < 65536:
        raise UsageError(f"{spec!r} names no device", f"write one of: {FORMS}")

    # adb-shell and its cryptography take longer to import than a local run takes.
    from pipeline.device.adb.device import AdbDevice
    from pipeline.device.adb.direct import DirectLink
    from pipeline.device.adb.transport import TcpTransport

    host, port = address["host"].strip("[]"), int(address["port"])

    def dial() -> DirectLink:
        transport = TcpTransport(host, port)
        return DirectLink.dial(
            transport, timeout_s=timeout_s, consent_s=consent_timeout_s, keys=keys
        )

    return AdbDevice(spec, dial)
