"""How bytes get to adbd and back where no adb server stands between: TCP, and TLS over it."""

from __future__ import annotations

import contextlib
import math
import socket
import ssl
import time
from collections.abc import Iterator
from typing import Protocol

from pipeline.core.errors import DeviceError
from pipeline.device.adb.link import Buffer

#: A device that leaves the network without a word is noticed after about 5 + 4 * 2 seconds of
#: silence, however long the running command's own deadline is.
KEEPALIVE = ((socket.TCP_KEEPIDLE, 5), (socket.TCP_KEEPINTVL, 2), (socket.TCP_KEEPCNT, 4))
#: Bytes that are asked for when nobody knows how many there are.
LOOK_AHEAD = 64 << 10
_PIECE = 256 << 10


class Transport(Protocol):
    """A pair of byte streams; what goes wrong in one is an OSError.

    Attributes:
        name: of the far end: ``192.168.1.20:5555``, or a USB device's serial number.
        route: its kind: ``TCP``, ``TLS`` or ``USB``.
        alone: whether there can be one such connection to the device at a time.
        deadline: `time.monotonic` after which nothing waits any more: a TimeoutError.
    """

    name: str
    route: str
    alone: bool
    deadline: float

    def connect(self) -> None:
        """Opens the connection, anew where there was one.

        Raises:
            DeviceError: it cannot be opened.
        """
        ...

    def secure(self, context: ssl.SSLContext) -> None:
        """Goes on under TLS."""
        ...

    def wait(self) -> bool:
        """Whether something can be read (the connection's end included) before the deadline."""
        ...

    def read(self, size: int) -> bytes:
        """Receives exactly so many bytes."""
        ...

    def write(self, *buffers: Buffer) -> None:
        """Sends all bytes of all buffers."""
        ...

    def close(self) -> None: ...


class TcpTransport:
    """A socket that sends all of what it is given, sees the end, and keeps one deadline."""

    alone = False

    def __init__(self, host: str, port: int) -> None:
        self.name = f"{host}:{port}"
        self.route = "TCP"
        self.deadline = math.inf
        self._host = host
        self._port = port
        self._socket: socket.socket | None = None
        self._ahead = b""

    def connect(self) -> None:
        self.close()
        timeout = self._remaining()
        try:
            connection = socket.create_connection((self._host, self._port), timeout)
        except socket.gaierror as error:
            raise DeviceError(
                f"no host is called {self._host}: {error.strerror}",
                "check the name in the device spec",
            ) from None
        except ConnectionRefusedError:
            raise DeviceError(
                f"nothing listens at {self.name}",
                "on a phone: `adb tcpip 5555` once over USB, then its Wi-Fi address; "
                "without a phone: `scripts/loopback-device start`",
            ) from None
        except OSError as error:
            reason = f"no answer within {timeout or 0:.0f} s"
            if not isinstance(error, TimeoutError):
                reason = error.strerror or str(error)
            raise DeviceError(
                f"{self.name} cannot be reached: {reason}",
                "check that the device is awake and on the same network as this machine",
            ) from None
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in KEEPALIVE:
            connection.setsockopt(socket.IPPROTO_TCP, option, value)
        self._socket, self._ahead, self.route = connection, b"", "TCP"

    def secure(self, context: ssl.SSLContext) -> None:
        with self._waiting() as connection:
            self._socket = context.wrap_socket(connection)
        self.route = "TLS"

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def wait(self) -> bool:
        try:
            if not self._ahead:
                with self._waiting() as connection:
                    self._ahead = connection.recv(LOOK_AHEAD)
        except TimeoutError:
            return False
        return True

    def read(self, size: int) -> bytes:
        pieces = [self._ahead[:size]]
        self._ahead = self._ahead[size:]
        missing = size - len(pieces[0])
        while missing:
            with self._waiting() as connection:
                piece = connection.recv(min(missing, _PIECE))
            if not piece:
                raise ConnectionResetError("the device closed the connection")
            pieces.append(piece)
            missing -= len(piece)
        return b"".join(pieces)

    def write(self, *buffers: Buffer) -> None:
        views = [memoryview(buffer) for buffer in buffers if len(buffer)]
        while views:
            with self._waiting() as connection:
                if isinstance(connection, ssl.SSLSocket):  # it takes one buffer only
                    sent = connection.send(b"".join(views))
                else:
                    sent = connection.sendmsg(views)
            views = remaining(views, sent)

    @contextlib.contextmanager
    def _waiting(self) -> Iterator[socket.socket]:
        """Yields the socket, which waits no longer than it may.

        Raises:
            TimeoutError: it did.
            ConnectionError: the connection is closed, or the kernel has given it up.
        """
        if self._socket is None:
            raise ConnectionError("the connection is closed")
        self._socket.settimeout(self._remaining())
        try:
            yield self._socket
        except TimeoutError as error:
            if error.errno is not None:  # ETIMEDOUT, from the keepalive: not our own time limit
                raise ConnectionAbortedError("the device has left the network") from error
            raise TimeoutError("nothing came, or nothing was read, in time") from None

    def _remaining(self) -> float | None:
        """Seconds that an operation may still take: at least a little, since 0 would not wait."""
        left = self.deadline - time.monotonic()
        return None if left == math.inf else max(left, 0.001)


def remaining(views: list[memoryview], sent: int) -> list[memoryview]:
    """What is still to be sent of some buffers, after so many bytes of them were."""
    for index, view in enumerate(views):
        if sent < len(view):
            return [view[sent:], *views[index + 1 :]]
        sent -= len(view)
    return []
