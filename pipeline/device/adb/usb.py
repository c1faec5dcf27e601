"""Devices on USB that no adb server holds, through adb-shell's transport (`pip install .[usb]`)."""

from __future__ import annotations

import math
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.core.errors import DeviceError, UsageError
from pipeline.device.adb.link import Buffer

#: Bytes of a message's header: what a device begins with.
HEADER_BYTES = 24
#: Bytes of the largest transfer, and a multiple of every packet's.
_PIECE = 1 << 20
#: Seconds of silence after which a device has nothing more to say to an earlier host.
QUIET_S = 0.1

NO_LIBRARY = (
    "install what USB needs: `pip install .[usb]` and, on Debian and Ubuntu, `apt-get install "
    "libusb-1.0-0`; or use the device through the adb server: --device adb"
)


class UsbTransport:
    """The two bulk endpoints of a device's ADB interface; see `transport.Transport`.

    On USB, a header and its data are transfers of their own: each is read with its own length.

    Args:
        serial: of the device; None for the only one.
        find: lists what is there.
    """

    alone = True

    def __init__(
        self, serial: str | None, find: Callable[[], Sequence[UsbDevice]] | None = None
    ) -> None:
        self.name = f"usb:{serial}" if serial else "usb"
        self.route = "USB"
        self.deadline = math.inf
        self._serial = serial
        self._find = find or usb_devices
        self._device: Any = None
        self._packet = 0
        self._ahead = b""

    def connect(self) -> None:
        """Claims the device's interface.

        Raises:
            UsageError: several devices are there, and none is named.
            DeviceError: none is there, another program has it, this user may not open it, or the
                library is missing.
        """
        self.close()
        usb = _library()
        device = self._choose(self._find())
        serial = device.serial
        if not device.readable:
            raise _may_not_open(serial)
        try:
            device.transport.connect()
        except usb.USBErrorBusy:
            raise DeviceError(
                f"USB device {serial} is in use by another program, mostly an adb server",
                f"use it through that: --device adb:{serial}; or end it: `adb kill-server`",
            ) from None
        except usb.USBErrorAccess:
            raise _may_not_open(serial) from None
        except usb.USBError as error:
            raise DeviceError(
                f"USB device {serial} cannot be opened: {error}",
                "unplug and plug it again; try another cable or port",
            ) from None
        self._device, self._ahead, self.name = device.transport, b"", f"usb:{serial}"
        ends = device.transport._setting.iterEndpoints()
        self._packet = min(each.getMaxPacketSize() for each in ends)
        self._drain()

    def secure(self, context: ssl.SSLContext) -> None:
        raise ConnectionError("the device asks for TLS, which no device does on USB")

    def wait(self) -> bool:
        try:
            if not self._ahead:
                self._ahead = self._receive(HEADER_BYTES)
        except TimeoutError:
            return False
        return True

    def read(self, size: int) -> bytes:
        data = self._ahead[:size]
        self._ahead = self._ahead[size:]
        while len(data) < size:
            data += self._receive(size - len(data))
        return data

    def write(self, *buffers: Buffer) -> None:
        header, *data = buffers
        self._send(bytes(header))
        if data:
            self._send(b"".join(data))

    def close(self) -> None:
        if self._device is not None:
            self._device.close()
            self._device = None

    def _drain(self) -> None:
        """Reads what the device has still to say to a host that has left.

        When it is greeted anew, adbd takes back what it could not say; where the system says that
        this failed, it leaves the bus and comes back.
        """
        from adb_shell.exceptions import UsbReadFailedError

        device = self._opened()
        while time.monotonic() < self.deadline:
            try:
                device.bulk_read(_PIECE, QUIET_S)
            except UsbReadFailedError as error:
                failed = _failure(error, "")
                if not isinstance(failed, TimeoutError):
                    raise failed from None
                if not getattr(error.args[-1], "received", b""):
                    return

    def _receive(self, size: int) -> bytes:
        from adb_shell.exceptions import UsbReadFailedError

        device = self._opened()
        try:
            return bytes(device.bulk_read(size, self._remaining()))
        except UsbReadFailedError as error:
            raise _failure(error, "nothing came in time") from None

    def _send(self, data: bytes) -> None:
        from adb_shell.exceptions import UsbWriteFailedError

        device = self._opened()
        try:
            sent = 0
            while sent < len(data):
                sent += device.bulk_write(data[sent:], self._remaining())
            if data and sent % self._packet == 0:
                # adbd sees the end of a transfer by a packet that is not full.
                device.bulk_write(b"", self._remaining())
        except UsbWriteFailedError as error:
            raise _failure(error, "it does not read what it is sent") from None

    def _opened(self) -> Any:
        if self._device is None:
            raise ConnectionError("the connection is closed")
        return self._device

    def _remaining(self) -> float:
        """Seconds that a transfer may still take; libusb takes 0 for no limit."""
        return min(max(self.deadline - time.monotonic(), 0.001), 3600.0)

    def _choose(self, devices: Sequence[UsbDevice]) -> UsbDevice:
        if self._serial is not None:
            named = [each for each in devices if each.serial == self._serial]
            hidden = [each for each in devices if not each.readable]
            if hidden and not named:
                return hidden[0]
            if not named:
                there = ", ".join(each.serial for each in devices) or "none"
                raise DeviceError(
                    f"no USB device {self._serial} has USB debugging on; there is: {there}",
                    "check the cable and the number, and that USB debugging is on",
                )
            return named[0]
        if not devices:
            raise DeviceError(
                "no USB device has USB debugging on",
                "plug one in, and turn on USB debugging in its developer options",
            )
        if len(devices) > 1:
            there = ", ".join(f"adb:usb:{each.serial}" for each in devices)
            raise UsageError(f"which USB device is meant? There are {there}", "name one of them")
        return devices[0]


@dataclass(frozen=True, slots=True)
class UsbDevice:
    """A device whose interface is that of ADB.

    Attributes:
        transport: adb-shell's, not opened.
        serial: its serial number; the port that it is plugged into where that cannot be read.
        readable: whether this user may ask it for its number.
    """

    transport: Any
    serial: str
    readable: bool = True


def usb_devices() -> list[UsbDevice]:
    """All devices on USB that have USB debugging on.

    Raises:
        DeviceError: a library is missing.
    """
    usb = _library()
    from adb_shell.transport.usb_transport import UsbTransport as AdbShellUsbTransport

    devices = []
    for transport in AdbShellUsbTransport.find_all_adb_devices():
        port = "at port " + "-".join(str(number) for number in transport.port_path)
        try:
            devices.append(UsbDevice(transport, str(transport.serial_number)))
        except usb.USBErrorAccess:
            devices.append(UsbDevice(transport, port, readable=False))
        except usb.USBErrorNoDevice:
            continue  # it has just been unplugged
        except usb.USBError:
            devices.append(UsbDevice(transport, port))
    return devices


def _library() -> Any:
    """python-libusb1, which loads libusb when it is first used.

    Raises:
        DeviceError: either is missing.
    """
    try:
        import usb1
        from adb_shell.transport import usb_transport  # noqa: F401  # opens libusb
    except (ImportError, OSError) as error:
        raise DeviceError(f"USB cannot be used: {error}", NO_LIBRARY) from None
    return usb1


def _may_not_open(serial: str) -> DeviceError:
    return DeviceError(
        f"this user may not open USB device {serial}",
        "install the udev rules (Debian, Ubuntu: apt-get install "
        "android-sdk-platform-tools-common), be a member of the group plugdev, then plug it in "
        "again",
    )


def _failure(failed: Exception, too_late: str) -> OSError:
    """What a transport raises for an error of adb-shell, which has that of libusb in it."""
    usb, error = _library(), failed.args[-1]
    if isinstance(error, usb.USBErrorTimeout):
        return TimeoutError(too_late)
    if isinstance(error, usb.USBErrorNoDevice):
        return ConnectionAbortedError("the device was unplugged")
    return ConnectionAbortedError(f"USB: {error}")
