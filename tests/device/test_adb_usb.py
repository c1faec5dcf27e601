"""USB, on devices that are none: what adb-shell and libusb say of real ones is played here."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from pipeline.core.errors import DeviceError, PipelineError, UsageError
from pipeline.device.adb import usb
from pipeline.device.adb.direct import DirectLink
from pipeline.device.adb.messages import HEADER
from pipeline.device.adb.shell import ShellCommand
from pipeline.device.adb.usb import UsbDevice, UsbTransport, usb_devices
from pipeline.device.base import DeviceGoneError
from pipeline.device.connect import connect

from .peers import BANNER, message
from .test_hostile_peers import frame

usb1 = pytest.importorskip("usb1", reason="not here: no libusb1 (pip install .[usb])")
from adb_shell.exceptions import UsbReadFailedError, UsbWriteFailedError  # noqa: E402

PACKET = 512


@dataclass(frozen=True)
class Endpoint:
    size: int

    def getMaxPacketSize(self) -> int:  # noqa: N802  # libusb1's name
        return self.size


class Setting:
    def iterEndpoints(self) -> Iterator[Endpoint]:  # noqa: N802  # libusb1's name
        return iter([Endpoint(PACKET), Endpoint(PACKET)])


class FakeUsb:
    """In place of adb-shell's transport: what the device sends is a list of transfers.

    Attributes:
        opening: raised on connecting.
        sends: transfers of the device that are still to come; an error is raised.
        got: transfers that the host has sent.
    """

    def __init__(self, *sends: bytes | Exception, opening: Exception | None = None) -> None:
        self._setting = Setting()
        self.opening = opening
        self.sends = list(sends)
        self.got: list[bytes] = []
        self.closed = False

    def connect(self) -> None:
        if self.opening is not None:
            raise self.opening

    def bulk_read(self, size: int, timeout_s: float) -> bytes:
        assert timeout_s > 0, "libusb takes 0 for no limit"
        if not self.sends:
            raise UsbReadFailedError("no data", usb1.USBErrorTimeout())
        transfer = self.sends.pop(0)
        if isinstance(transfer, Exception):
            raise transfer
        assert len(transfer) <= size, "a transfer that does not fit is an overflow on real USB"
        return transfer

    def bulk_write(self, data: bytes, timeout_s: float) -> int:
        assert timeout_s > 0
        self.got.append(data)
        return len(data)

    def close(self) -> None:
        self.closed = True


def from_device(command: bytes, arg0: int, arg1: int, data: bytes = b"") -> list[bytes]:
    """A message as the device sends it: a transfer of the header, and one of the data."""
    whole = message(command, arg0, arg1, data)
    return [whole[: HEADER.size], *([data] if data else [])]


def transport(*devices: UsbDevice, serial: str | None = None) -> UsbTransport:
    return UsbTransport(serial, lambda: devices)


def refusal(*devices: UsbDevice, serial: str | None = None) -> PipelineError:
    with pytest.raises(PipelineError) as caught:
        transport(*devices, serial=serial).connect()
    assert caught.value.remedy
    return caught.value


def test_a_program_runs_over_usb() -> None:
    output = b"\1\3\0\0\x0077\n" + b"\1\3\0\0\0hi\n" + b"\3\1\0\0\0\4"
    fake = FakeUsb(
        *from_device(b"OKAY", 9, 9),  # left over from an earlier connection
        *from_device(b"CNXN", 0x01000001, 1 << 20, BANNER),
        *from_device(b"OKAY", 5, 1),
        *from_device(b"WRTE", 5, 1, output),
    )
    link = DirectLink.dial(transport(UsbDevice(fake, "R5CN30")), timeout_s=1, consent_s=1)
    assert (link.serial, link.route) == ("usb:R5CN30", "USB")
    command = ShellCommand(["echo", "hi"], stdin=b"", output_limit=100)
    done = command.run(link, time.monotonic() + 10)
    assert (done.stdout, done.returncode) == (b"hi\n", 4)
    assert fake.got[0][:4] == b"CNXN"
    assert len(fake.got[0]) == HEADER.size, "a header is a transfer of its own"
    link.close()
    assert fake.closed


def test_a_transfer_of_full_packets_is_ended_by_an_empty_one() -> None:
    fake = FakeUsb()
    over = transport(UsbDevice(fake, "R5CN30"))
    over.connect()
    over.write(bytes(24), bytes(PACKET), bytes(PACKET))
    assert list(map(len, fake.got)) == [24, 2 * PACKET, 0]
    over.write(bytes(24), bytes(PACKET + 1))
    assert list(map(len, fake.got))[3:] == [24, PACKET + 1]


def test_waiting_takes_nothing_away_and_ends_at_the_deadline() -> None:
    fake = FakeUsb(bytes(24))
    over = transport(UsbDevice(fake, "R5CN30"))
    over.connect()
    assert over.wait()
    assert over.read(24) == bytes(24)
    over.deadline = time.monotonic()
    assert not over.wait()


def test_a_device_that_is_unplugged_is_gone() -> None:
    fake = FakeUsb(
        *from_device(b"CNXN", 0x01000001, 1 << 20, BANNER),
        UsbReadFailedError("no data", usb1.USBErrorNoDevice()),
    )
    link = DirectLink.dial(transport(UsbDevice(fake, "R5CN30")), timeout_s=1, consent_s=1)
    with pytest.raises(DeviceGoneError, match="the device was unplugged"):
        link.open(b"sync:", time.monotonic() + 10)


def test_a_device_that_reads_nothing_is_gone() -> None:
    class Deaf(FakeUsb):
        def bulk_write(self, data: bytes, timeout_s: float) -> int:
            raise UsbWriteFailedError("no data", usb1.USBErrorTimeout())

    with pytest.raises(DeviceError, match="does not answer as an ADB device"):
        DirectLink.dial(transport(UsbDevice(Deaf(), "R5CN30")), timeout_s=1, consent_s=1)


def test_a_device_that_the_adb_server_has_is_used_through_it() -> None:
    error = refusal(UsbDevice(FakeUsb(opening=usb1.USBErrorBusy()), "R5CN30"))
    assert "R5CN30 is in use by another program" in error.what
    assert "--device adb:R5CN30" in error.remedy
    assert "adb kill-server" in error.remedy


@pytest.mark.parametrize("serial", [None, "R5CN30"])
def test_a_missing_udev_rule_is_named(serial: str | None) -> None:
    hidden = UsbDevice(FakeUsb(), "at port 1-2", readable=False)
    error = refusal(hidden, serial=serial)
    assert "this user may not open USB device at port 1-2" in error.what
    assert "udev rules" in error.remedy
    known = UsbDevice(FakeUsb(opening=usb1.USBErrorAccess()), "R5CN30")
    assert "this user may not open USB device R5CN30" in refusal(known, serial=serial).what


def test_another_failure_of_usb_is_passed_on() -> None:
    error = refusal(UsbDevice(FakeUsb(opening=usb1.USBErrorPipe()), "R5CN30"))
    assert "cannot be opened: LIBUSB_ERROR_PIPE" in error.what


def test_without_a_device_none_is_opened() -> None:
    assert "no USB device has USB debugging on" in refusal().what


def test_of_two_devices_one_has_to_be_named() -> None:
    devices = [UsbDevice(FakeUsb(), name) for name in ("A1", "B2")]
    error = refusal(*devices)
    assert isinstance(error, UsageError)
    assert "adb:usb:A1, adb:usb:B2" in error.what
    named = transport(*devices, serial="B2")
    named.connect()
    assert named.name == "usb:B2"


def test_an_unknown_serial_number_is_told_what_there_is() -> None:
    error = refusal(UsbDevice(FakeUsb(), "A1"), serial="C3")
    assert "no USB device C3" in error.what
    assert "A1" in error.what


def test_a_device_is_connected_to_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """`connect` finds it on USB, and no adb server is asked."""
    greeting = from_device(b"CNXN", 0x01000001, 1 << 20, BANNER)
    devices = {name: FakeUsb(*greeting) for name in ("A1", "B2")}
    monkeypatch.setattr(
        usb, "usb_devices", lambda: [UsbDevice(fake, name) for name, fake in devices.items()]
    )
    with connect("adb:usb:B2") as device:
        assert device.spec == "adb:usb:B2"
        assert not devices["B2"].closed
    assert devices["B2"].closed
    assert devices["B2"].got
    assert not devices["A1"].got
    with pytest.raises(UsageError, match="adb:usb:A1, adb:usb:B2"):
        connect("adb:usb")
    del devices["A1"]
    devices["B2"].sends = greeting
    with connect("adb:usb") as device:
        assert device.spec == "adb:usb"


def test_a_device_on_usb_is_locked_over_the_only_connection_to_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def answer(number: int, *data: bytes) -> list[bytes]:
        messages = [from_device(b"OKAY", 5, number)]
        messages += [from_device(b"WRTE", 5, number, each) for each in data]
        return [transfer for each in messages for transfer in each]

    done = frame(1, b"77\n") + frame(3, b"\0")
    fake = FakeUsb(
        *from_device(b"CNXN", 0x01000001, 1 << 20, BANNER),
        *answer(1, done),  # whether the folder can be worked in
        *answer(2, frame(1, b"78\nheld\n")),
        *answer(3, done),
        *from_device(b"OKAY", 5, 2),  # of the lock's question
        *from_device(b"WRTE", 5, 2, frame(1, b"held\n")),
    )
    monkeypatch.setattr(usb, "usb_devices", lambda: [UsbDevice(fake, "A1")])
    with connect("adb:usb", timeout_s=0.1) as device:
        fake.opening = usb1.USBErrorBusy()
        lock = device.lock()
        assert device.run(["true"], deadline_s=10).returncode == 0
        lock.require()
        assert not fake.sends


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "usb1", None)
    with pytest.raises(DeviceError, match="USB cannot be used") as caught:
        usb_devices()
    assert "pip install .[usb]" in caught.value.remedy
    assert "libusb-1.0-0" in caught.value.remedy
