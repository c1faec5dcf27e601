"""How much may be on its way: one message, or what both sides said (delayed confirmations)."""

from __future__ import annotations

import random
import socket
import struct
from pathlib import Path, PurePosixPath

import pytest

from pipeline.core.errors import DeviceError
from pipeline.device.adb.lock import AdbLock
from pipeline.device.adb.sync import send_file
from pipeline.device.base import DeviceTimeoutError
from pipeline.device.connect import connect
from pipeline.device.files import Source
from tests.device.conftest import dial
from tests.device.peers import BANNER, Behavior, FakeAdbd, peer, until_closed
from tests.device.test_hostile_peers import device_that, frame
from tests.no_hang import no_hang

DELAYED_BANNER = BANNER.replace(b"features=", b"features=delayed_ack,")
CREDIT = 2_500_000
SHELL_ANSWER = frame(1, b"77\nanswer") + frame(3, b"\0")


def count(number: int) -> bytes:
    return struct.pack("<i", number)


class Device(FakeAdbd):
    """Answers shell commands, and takes a file as its side of the agreement has it.

    Attributes:
        opened: the second numbers of all OPEN.
        confirmed: the data of all OKAY.
        most: bytes that were on their way at once, at most.
        longest: bytes of the largest message.
    """

    def __init__(self, connection: socket.socket, *, delayed: bool) -> None:
        super().__init__(connection)
        self.opened: list[int] = []
        self.confirmed: list[bytes] = []
        self.most = self.longest = 0
        self._delayed = delayed

    def serve(self) -> None:
        self.greet(DELAYED_BANNER if self._delayed else BANNER, version=0x01000001)
        while True:
            command, number, second, data = self.receive()
            if command == b"OKAY":
                self.confirmed.append(data)
            if command == b"OPEN":
                self.opened.append(second)
                self.send(b"OKAY", 1, number, count(CREDIT) if self._delayed else b"")
                if data.startswith(b"sync:"):
                    self.take_file(number)
                else:
                    self.send(b"WRTE", 1, number, SHELL_ANSWER)

    def take_file(self, number: int) -> None:
        waiting = taken = 0
        tail = b""
        while b"DONE" not in tail:
            command, _, _, data = self.receive()
            assert command == b"WRTE"
            waiting, taken, tail = waiting + len(data), taken + len(data), data[-8:]
            self.most, self.longest = max(self.most, waiting), max(self.longest, len(data))
            if not self._delayed:
                self.send(b"OKAY", 1, number)
                waiting = 0
            elif taken < 500_000 or waiting > CREDIT // 2 or b"DONE" in tail:
                self.send(b"OKAY", 1, number, count(waiting))
                waiting = 0
        self.send(b"WRTE", 1, number, b"OKAY" + bytes(4))


@pytest.mark.parametrize("delayed", [True, False], ids=["delayed", "each"])
def test_no_more_is_on_its_way_than_the_device_takes(tmp_path: Path, delayed: bool) -> None:
    (tmp_path / "source").write_bytes(random.Random(8).randbytes(6_000_000))
    devices: list[Device] = []

    def behavior(connection: socket.socket) -> None:
        devices.append(Device(connection, delayed=delayed))
        devices[-1].serve()

    with peer(behavior) as spec, no_hang(30), connect(spec, timeout_s=5) as device:
        device.push(tmp_path / "source", PurePosixPath("/data/target"))
    (there,) = devices
    if delayed:
        assert there.longest < there.most <= CREDIT
        assert all(there.opened)
        assert set(there.confirmed) >= {count(len(SHELL_ANSWER)), count(8)}
    else:
        assert there.most == there.longest <= 1 << 20
        assert not any(there.opened)
        assert set(there.confirmed) == {b""}


@pytest.mark.parametrize("said", [b"", b"x", count(-5), count(0), bytes(8)])
def test_a_device_that_never_takes_anything_is_late(said: bytes) -> None:
    def behavior(connection: socket.socket) -> None:
        adbd = FakeAdbd(connection)
        adbd.greet(DELAYED_BANNER)
        number = adbd.receive()[1]
        adbd.send(b"OKAY", 1, number, said)
        until_closed(connection)

    late = pytest.raises(DeviceError, match="no longer answers")
    with device_that(behavior, answer_s=0.3) as device, late:
        device.run(["cat"], deadline_s=0.3, stdin=b"x")


def test_a_device_that_takes_more_than_it_was_sent_is_sent_no_more_than_it_said(
    tmp_path: Path,
) -> None:
    sizes: list[int] = []

    def behavior(connection: socket.socket) -> None:
        adbd = FakeAdbd(connection)
        adbd.greet(DELAYED_BANNER)
        number = adbd.receive()[1]
        adbd.send(b"OKAY", 1, number, count(10_000))
        while len(sizes) < 5:
            _, _, _, data = adbd.receive()
            sizes.append(len(data))
            adbd.send(b"OKAY", 1, number, count(1 << 30))
        until_closed(connection)

    late = pytest.raises(DeviceError)
    with device_that(behavior, answer_s=0.3) as device, late:
        device.run(["cat"], deadline_s=0.5, stdin=bytes(100_000))
    assert max(sizes) <= 10_000


def takes(credit: int, *output: bytes) -> Behavior:
    """A device that prints something, but takes no more than so many bytes of any stream."""

    def behavior(connection: socket.socket) -> None:
        adbd = FakeAdbd(connection)
        adbd.greet(DELAYED_BANNER)
        number = adbd.receive()[1]
        adbd.send(b"OKAY", 1, number, count(credit))
        for data in output:
            adbd.send(b"WRTE", 1, number, data)
        until_closed(connection)

    return behavior


def test_a_device_that_takes_less_than_a_request_is_late(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"x")
    with peer(takes(4)) as spec, no_hang(20), Source(tmp_path / "source", hashed=False) as source:
        link = dial(spec, timeout_s=5)
        link.timeout_s = 0.3
        with pytest.raises(DeviceTimeoutError):
            send_file(link, source, "/data/target", size=1, mode=0o644)


def test_a_lock_on_a_device_that_takes_less_than_a_question_is_lost() -> None:
    with peer(takes(4, frame(1, b"77\nheld\n"))) as spec, no_hang(20):
        link = dial(spec, timeout_s=5)
        link.timeout_s = 0.3
        lock = AdbLock(spec, link, PurePosixPath("/data/lock"), "me")
        with lock, pytest.raises(DeviceError, match="was lost while it was in use"):
            lock.require()
