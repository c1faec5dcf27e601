"""A device behind an adb server: each stream is a connection of its own to the server."""

from __future__ import annotations

import contextlib
import logging
import select
import socket
import time
from typing import Self

from pipeline.core.errors import DeviceError
from pipeline.device.adb.direct import NO_SERVICE, SILENCE, service_refused
from pipeline.device.adb.link import RECONNECT, Buffer, Link, Stream
from pipeline.device.adb.listing import READY, TRANSIENT, Listed, choose_device, not_ready
from pipeline.device.adb.messages import SLOWEST_LINK_BYTES_S
from pipeline.device.adb.server import REQUEST_LIMIT, NoServerError, Server, ServerRefusedError
from pipeline.device.adb.shell import SERVICE as SHELL
from pipeline.device.adb.transport import remaining
from pipeline.device.base import DeviceGoneError, DeviceTimeoutError

logger = logging.getLogger(__name__)

_PIECE = 256 << 10
#: Bytes of one write: as much as fits into one of ADB's messages.
ROOM = 1 << 20
#: Bytes that are kept for a device at most, by the kernel here and there and by the server.
KEPT = 8 << 20
#: Seconds between two looks at a device that is about to be ready.
LOOK_S = 0.2


class ServerLink(Link):
    """One device of an adb server; see `Link`. The server keeps the connection to it.

    It is the connection that the server had when this link was made: a device that has been
    unplugged meanwhile is gone, although the server has it again. One on the network, to which a
    server connects again by itself, may not be: what it ran is gone, the lock (`AdbLock`) with it.

    Where a device says nothing, it is asked for a service that it has to refuse, as `DirectLink`
    does: the server notices a device that hangs only by its answers, too.
    """

    def __init__(self, server: Server, device: Listed) -> None:
        self.serial = device.serial
        self.route = "adb server"
        self.timeout_s = server.timeout_s
        self.command_limit = REQUEST_LIMIT - len(SHELL)
        self._server = server
        self._transport = device.transport
        self._closed = False

    @classmethod
    def dial(cls, server: Server, serial: str, *, consent_s: float) -> Self:
        """Finds a device, and waits for one that is about to be ready.

        Args:
            server: runs already, or can be started on this machine.
            serial: the device's name there.
            consent_s: seconds that its owner has to allow the server's key.

        Raises:
            DeviceError: no server, no such device, one that cannot be used, or that is too old.
        """
        server.ensure_running()
        device = _when_ready(server, serial, consent_s)
        if "shell_v2" not in server.features(serial):
            raise DeviceError(
                f"adb:{serial} has no shell protocol 2", "Android 7 or later is needed"
            )
        return cls(server, device)

    @property
    def interrupted(self) -> bool:
        return False  # every stream has a connection of its own: none is left half read

    def open(self, service: bytes, deadline: float) -> Stream:
        if self._closed:
            raise DeviceGoneError(
                f"the connection to {self.serial} is gone: closed by this side", RECONNECT
            )
        limit = min(deadline, time.monotonic() + self.timeout_s)
        try:
            bulk = service == b"sync:"
            return ServerStream(self, self._connect(service, limit), bulk=bulk)
        except ServerRefusedError as error:
            self.require_ready()
            if error.what.endswith("closed"):
                raise service_refused(self.serial, service) from None
            raise self.lost(error.what) from None
        except DeviceTimeoutError:
            if limit < deadline:
                raise self.lost("its adbd no longer answers") from None
            raise
        except NoServerError as error:
            raise self.lost(error.what) from None

    def close(self) -> None:
        self._closed = True

    def require_ready(self) -> None:
        """Asks the server whether the device is still there.

        Raises:
            DeviceGoneError: it is not, or the server is not.
        """
        try:
            device = self._server.find(self.serial)
        except DeviceError as error:
            raise self.lost(error.what) from None
        if device is None:
            raise self.lost("it was unplugged")
        if device.state != READY:
            raise self.lost(f"the adb server calls it {device.state}")
        if device.transport != self._transport:
            raise self.lost("it was restarted, or unplugged for a moment")

    def answers(self, limit: float) -> bool:
        """Whether its adbd answers by then. Raises `DeviceGoneError` where it is not there."""
        try:
            self._connect(NO_SERVICE, limit).close()
        except DeviceTimeoutError:
            return False
        except ServerRefusedError:
            self.require_ready()
        except DeviceError as error:
            raise self.lost(error.what) from None
        return True

    def _connect(self, service: bytes, deadline: float) -> socket.socket:
        return self._server.open(self._transport.encode(), service, deadline=deadline)

    def lost(self, reason: str) -> DeviceGoneError:
        """The error where the device, or the server, is no longer there."""
        return DeviceGoneError(f"the connection to {self.serial} is lost: {reason}", RECONNECT)


class ServerStream(Stream):
    """A service; see `Stream`. What the kernel has taken counts as taken: the server confirms none.

    So nobody knows what is still on its way to the device, nor how fast that is.

    Args:
        link: to which it belongs.
        connection: on which the server has said OKAY to the service.
        bulk: whether the device answers with messages as large as they can be, too, which the
            server hands on whole.
    """

    def __init__(self, link: ServerLink, connection: socket.socket, *, bulk: bool) -> None:
        self.ended = False
        self.in_flight = 0
        self._message = ROOM if bulk else 0
        self._written = 0
        self._link = link
        self._socket = connection
        self._socket.setblocking(False)
        self._unsent: list[memoryview] = []

    @property
    def room(self) -> int:
        return 0 if self.in_flight else ROOM

    @property
    def delay_s(self) -> float:
        return min(self._written + self._message, KEPT) / SLOWEST_LINK_BYTES_S

    def write(self, *buffers: Buffer) -> None:
        assert not self.in_flight
        self.in_flight = sum(map(len, buffers))
        self._written += self.in_flight
        self._unsent = [memoryview(buffer) for buffer in buffers if len(buffer)]
        self._send()

    def read(self, deadline: float) -> bytes:
        if self.in_flight and not self._unsent:
            self.in_flight = 0
            # What the device has said meanwhile, as of a full disk, comes first.
            return self._receive() if self._poll(0) else b""
        while True:
            if (
                now := time.monotonic()
            ) >= deadline:  # a device that sends all the time is late, too
                raise DeviceTimeoutError(f"{self._link.serial} did not answer in time", RECONNECT)
            events = self._poll(min(deadline - now, SILENCE * self._link.timeout_s))
            if events & ~select.POLLOUT:
                return self._receive()
            if events:
                self._send()
                if not self._unsent:
                    self.in_flight = 0
                    return b""
            elif time.monotonic() < deadline:
                self._require_answer(deadline)

    def _require_answer(self, deadline: float) -> None:
        """Makes sure that the device, which says nothing here, says anything at all."""
        # The question waits behind the message that is under way, or its answer does.
        message_s = min(self._written + self._message, ROOM) / SLOWEST_LINK_BYTES_S
        limit = min(deadline, time.monotonic() + self._link.timeout_s + message_s)
        if not self._link.answers(limit) and limit < deadline and not self._poll(0):
            raise self._link.lost("its adbd no longer answers")

    def close(self) -> None:
        self.ended = True
        self._socket.close()

    def _poll(self, seconds: float) -> int:
        """What can be done within a time, as poll(2) says it."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN | (select.POLLOUT if self._unsent else 0))
        ready = poll.poll(seconds * 1000)
        return ready[0][1] if ready else 0

    def _receive(self) -> bytes:
        try:
            data = self._socket.recv(_PIECE)
        except ConnectionError:
            data = b""
        if not data:
            self.ended = True
            self._link.require_ready()
        return data

    def _send(self) -> None:
        with contextlib.suppress(BlockingIOError):
            try:
                while self._unsent:
                    self._unsent = remaining(self._unsent, self._socket.sendmsg(self._unsent))
            except ConnectionError:
                self._unsent = []  # what the device said last can still be read


def _when_ready(server: Server, serial: str, consent_s: float) -> Listed:
    """A device, once it is ready. Raises as `choose_device` and `not_ready` do."""
    begin = time.monotonic()
    asked = False
    while True:
        device = choose_device(server.devices(), serial, server.address)
        if device.state == READY:
            return device
        wait_s = consent_s if device.state == "unauthorized" else server.timeout_s
        if device.state not in TRANSIENT or time.monotonic() - begin > wait_s:
            raise not_ready(device)
        if device.state == "unauthorized" and not asked:
            asked = True
            logger.warning(
                '%s waits for its owner: unlock its screen and press "Allow" (%.0f s)',
                device.serial,
                consent_s,
            )
        time.sleep(LOOK_S)
