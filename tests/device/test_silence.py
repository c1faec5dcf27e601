"""How long a device that hangs goes unnoticed with the usual timeout, on a clock of the test's."""

from __future__ import annotations

import math
import ssl
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from pipeline.device.adb import direct, server_link
from pipeline.device.adb.address import ServerAddress
from pipeline.device.adb.direct import DirectLink, DirectStream
from pipeline.device.adb.link import Buffer, Stream
from pipeline.device.adb.listing import Listed
from pipeline.device.adb.server import Server
from pipeline.device.adb.server_link import ServerLink, ServerStream
from pipeline.device.base import DeviceGoneError, DeviceTimeoutError
from pipeline.device.connect import TIMEOUT_S

#: Of a command that may run for long.
DEADLINE_S = 300.0
#: Bytes that are on their way when a file is being sent.
FILE_BYTES = 4 << 20


class Clock:
    """Seconds that pass only where somebody waits."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def wait_until(self, then: float) -> None:
        assert then < math.inf, "nothing waits for ever"
        self.now = max(self.now, then)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module in (direct, server_link):
        monkeypatch.setattr(module, "time", clock)
    return clock


class SilentTransport:
    """A connection on which everything is taken, and nothing ever comes."""

    alone = False

    def __init__(self, clock: Clock) -> None:
        self.name, self.route, self.deadline = "phone", "TCP", math.inf
        self._clock = clock

    def connect(self) -> None: ...

    def secure(self, context: ssl.SSLContext) -> None: ...

    def wait(self) -> bool:
        self._clock.wait_until(self.deadline)
        return False

    def read(self, size: int) -> bytes:
        raise AssertionError("there is nothing to read")

    def write(self, *buffers: Buffer) -> None: ...

    def close(self) -> None: ...


def direct_stream(clock: Clock, monkeypatch: pytest.MonkeyPatch, *, file: bool) -> Stream:
    """One over a connection of our own, on which a device has just fallen silent."""
    link = DirectLink(SilentTransport(clock), TIMEOUT_S)
    link._intact = True
    link.max_payload = 1 << 20
    stream = DirectStream(link, number=1, peer=1, credit=FILE_BYTES)
    while file and stream.room:
        stream.write(bytes(stream.room))
    return stream


def server_stream(clock: Clock, monkeypatch: pytest.MonkeyPatch, *, file: bool) -> Stream:
    """One through an adb server, which takes what it is given."""

    def poll(milliseconds: float) -> list[tuple[int, int]]:
        clock.wait_until(clock.now + milliseconds / 1000)
        return []

    silent = SimpleNamespace(poll=poll, register=lambda *_: None)
    known = SimpleNamespace(poll=lambda: silent, POLLIN=1, POLLOUT=4)
    monkeypatch.setattr(server_link, "select", known)

    def unanswered(*requests: bytes, deadline: float) -> None:
        clock.wait_until(deadline)
        raise DeviceTimeoutError("the adb server did not answer in time")

    server = Server(ServerAddress(), TIMEOUT_S)
    monkeypatch.setattr(server, "open", unanswered)
    taking = SimpleNamespace(
        setblocking=lambda _: None, sendmsg=lambda views: sum(map(len, views)), close=lambda: None
    )
    link = ServerLink(server, Listed("phone", "device", {}))
    stream = ServerStream(link, taking, bulk=file)
    for _ in range(FILE_BYTES // stream.room if file else 0):
        stream.write(bytes(stream.room))
        stream.read(clock.now + TIMEOUT_S)
    return stream


@pytest.mark.parametrize(
    ("open_stream", "file", "seconds"),
    [
        (direct_stream, False, 15),
        (server_stream, False, 15),
        (direct_stream, True, 20),
        # A question waits behind what the server still has of the file.
        (server_stream, True, 40),
    ],
    ids=["run", "run, adb server", "push", "push, adb server"],
)
def test_a_device_that_hangs_is_noticed_in_time(
    open_stream: Callable[..., Stream],
    file: bool,
    seconds: int,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As issue and docs/phone.md promise."""
    stream = open_stream(clock, monkeypatch, file=file)
    with pytest.raises(DeviceGoneError, match="no longer answers"):
        stream.read(DEADLINE_S)
    assert clock.now <= seconds
