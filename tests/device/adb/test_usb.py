"""USB, on devices that are none: what adb-shell and libusb say of real ones is played here."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest

from pipeline.core.errors import DeviceError, PipelineError, UsageError
from pipeline.device.adb import usb
from pipeline.device.adb.direct import DirectLink
from pipeline.device.adb.messages import MESSAGE_HEADER
from pipeline.device.adb.shell import ShellCommand
from pipeline.device.adb.usb import UsbDevice, UsbTransport, usb_devices
from pipeline.device.base import DeviceGoneError
from pipeline.device.connect import connect
from tests.device.peers import BANNER, message
from tests.device.test_hostile_peers import frame
from tests.no_hang import no_hang

usb1 = pytest.importorskip("usb1", reason="not here: no libusb1 (pip install .[usb])")
from adb_shell.exceptions import UsbReadFailedError, UsbWriteFailedError  # noqa: E402
from adb_shell.transport.usb_transport import UsbTransport as AdbShellUsbTransport  # noqa: E402

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
        left: transfers of the device to an earlier host.
        sends: transfers of the device that are still to come, once it was sent something
            since it was connected to; an error is raised.
        got: transfers that the host has sent.
    """

    def __init__(
        self,
        *sends: bytes | Exception,
        left: Sequence[bytes] = (),
        opening: Exception | None = None,
    ) -> None:
        self._setting = Setting()
        self.opening = opening
        self.left = list(left)
        self.sends = list(sends)
        self.got: list[bytes] = []
        self.closed = False
        self._spoken_to = False

    def connect(self) -> None:
        if self.opening is not None:
            raise self.opening
        self._spoken_to = False

    def bulk_read(self, size: int, timeout_s: float) -> bytes:
        assert timeout_s > 0, "libusb takes 0 for no limit"
        if self.left:
            return self.left.pop(0)
        if not self.sends or not self._spoken_to:
            raise UsbReadFailedError("no data", usb1.USBErrorTimeout())
        transfer = self.sends.pop(0)
        if isinstance(transfer, Exception):
            raise transfer
        assert len(transfer) <= size, "a transfer that does not fit is an overflow on real USB"
        return transfer

    def bulk_write(self, data: bytes, timeout_s: float) -> int:
        assert timeout_s > 0
        self.got.append(data)
        self._spoken_to = True
        return len(data)

    def close(self) -> None:
        self.closed = True


def from_device(command: bytes, arg0: int, arg1: int, data: bytes = b"") -> list[bytes]:
    """A message as the device sends it: a transfer of the header, and one of the data."""
    whole = message(command, arg0, arg1, data)
    return [whole[: MESSAGE_HEADER.size], *([data] if data else [])]


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
    assert len(fake.got[0]) == MESSAGE_HEADER.size, "a header is a transfer of its own"
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
    over.write(bytes(24))
    assert over.wait()
    assert over.read(24) == bytes(24)
    over.deadline = time.monotonic()
    assert not over.wait()


def test_what_a_device_had_to_say_to_an_earlier_host_is_read_before_it_is_greeted() -> None:
    """Else its adbd fails in taking that back, and leaves the bus."""
    left = [bytes(24), b"x" * 1000, bytes(24)]
    fake = FakeUsb(*from_device(b"CNXN", 0x01000001, 1 << 20, BANNER), left=left)
    link = DirectLink.dial(transport(UsbDevice(fake, "R5CN30")), timeout_s=1, consent_s=1)
    assert not fake.left
    assert link.banner.state == "device"


def test_a_link_that_is_closed_has_heard_the_device_s_last_words() -> None:
    fake = FakeUsb(
        *from_device(b"CNXN", 0x01000001, 1 << 20, BANNER),
        *from_device(b"WRTE", 5, 9, b"of a stream that was closed"),
        *from_device(b"CLSE", 0, 1),
    )
    link = DirectLink.dial(transport(UsbDevice(fake, "R5CN30")), timeout_s=1, consent_s=1)
    assert fake.sends
    link.close()
    assert not fake.sends


def test_a_device_that_leaves_the_bus_when_it_is_greeted_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    greeting = from_device(b"CNXN", 0x01000001, 1 << 20, BANNER)
    leaving = FakeUsb(UsbReadFailedError("no data", usb1.USBErrorNoDevice()))
    there = [[UsbDevice(leaving, "A1")], [], [UsbDevice(FakeUsb(*greeting), "A1")]]
    monkeypatch.setattr(usb, "usb_devices", lambda: there.pop(0))
    with no_hang(20), connect("adb:usb") as device:
        assert device.spec == "adb:usb"
    assert not there


def test_a_device_that_waits_for_the_rest_of_a_message_is_to_be_unplugged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A host that was killed in the middle of one will never send it."""
    monkeypatch.setattr(usb, "usb_devices", lambda: [UsbDevice(FakeUsb(), "A1")])
    with pytest.raises(DeviceError, match="does not answer as an ADB device") as caught:
        connect("adb:usb", timeout_s=0.1)
    assert "unplug it and plug it in again" in caught.value.remedy


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


@dataclass
class Plugged:
    """In place of one that adb-shell finds: its serial number, or what libusb says instead."""

    answer: str | Exception
    port_path = (1, 2)

    @property
    def serial_number(self) -> str:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def test_of_all_that_is_plugged_in_what_has_just_left_is_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = ["A1", usb1.USBErrorNoDevice(), usb1.USBErrorAccess(), usb1.USBErrorPipe()]
    found = [Plugged(answer) for answer in answers]
    monkeypatch.setattr(AdbShellUsbTransport, "find_all_adb_devices", lambda: found)
    assert [(each.serial, each.readable) for each in usb_devices()] == [
        ("A1", True),
        ("at port 1-2", False),
        ("at port 1-2", True),
    ]


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "usb1", None)
    with pytest.raises(DeviceError, match="USB cannot be used") as caught:
        usb_devices()
    assert "pip install .[usb]" in caught.value.remedy
    assert "libusb-1.0-0" in caught.value.remedy
