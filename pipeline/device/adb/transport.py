"""The TCP connection to adbd, in the form that adb-shell takes."""

from __future__ import annotations

import contextlib
import math
import socket
import time
from collections.abc import Iterator

from adb_shell.constants import MAX_ADB_DATA
from adb_shell.exceptions import InvalidResponseError, TcpTimeoutException
from adb_shell.transport.base_transport import BaseTransport

from pipeline.core.errors import DeviceError

#: A device that leaves the network without a word is noticed after about 5 + 4 * 2 seconds of
#: silence, however long the running command's own deadline is.
KEEPALIVE = ((socket.TCP_KEEPIDLE, 5), (socket.TCP_KEEPINTVL, 2), (socket.TCP_KEEPCNT, 4))


class TcpTransport(BaseTransport):  # type: ignore[misc]  # adb-shell has no types
    """A socket that sends all of what it is given, sees the end, and keeps one deadline.

    adb-shell's own TcpTransport sends from a non-blocking socket and ignores how much went out, so
    that large packets lose bytes on a real network; it waits for delayed acknowledgements; and it
    takes the end of the connection for "nothing yet".

    Attributes:
        deadline: `time.monotonic` after which nothing waits any more, whatever timeout adb-shell
            gives: its own count anew for each part of a message and for each message.
    """

    def __init__(self, host: str, port: int) -> None:
        self.deadline = math.inf
        self._host = host
        self._port = port
        self._socket: socket.socket | None = None

    def connect(self, transport_timeout_s: float | None) -> None:
        """Opens the connection.

        Raises:
            DeviceError: there is no such host, it cannot be reached, or nothing listens there.
        """
        where = f"{self._host}:{self._port}"
        timeout = self._remaining(transport_timeout_s)
        try:
            self._socket = socket.create_connection((self._host, self._port), timeout)
        except socket.gaierror as error:
            raise DeviceError(
                f"no host is called {self._host}: {error.strerror}",
                "check the name in the device spec",
            ) from None
        except ConnectionRefusedError:
            raise DeviceError(
                f"nothing listens at {where}",
                "on a phone: `adb tcpip 5555` once over USB, then its Wi-Fi address; "
                "without a phone: `scripts/loopback-device start`",
            ) from None
        except OSError as error:
            reason = f"no answer within {timeout or 0:.0f} s"
            if not isinstance(error, TimeoutError):
                reason = error.strerror or str(error)
            raise DeviceError(
                f"{where} cannot be reached: {reason}",
                "check that the device is awake and on the same network as this machine",
            ) from None
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in KEEPALIVE:
            self._socket.setsockopt(socket.IPPROTO_TCP, option, value)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def wait(self) -> bool:
        """Whether something can be read (the connection's end included) before the deadline."""
        try:
            with self._waiting(None, "nothing came in time") as connection:
                connection.recv(1, socket.MSG_PEEK)
        except TcpTimeoutException:
            return False
        return True

    def bulk_read(self, numbytes: int, transport_timeout_s: float | None) -> bytes:
        if numbytes > MAX_ADB_DATA:
            # adb-shell asks for as much as a header announces, be it 4 GB.
            raise InvalidResponseError(f"a packet of {numbytes} bytes was announced")
        with self._waiting(transport_timeout_s, "nothing came in time") as connection:
            data = connection.recv(numbytes)
        if not data:
            raise ConnectionResetError("the device closed the connection")
        return data

    def bulk_write(self, data: bytes, transport_timeout_s: float | None) -> int:
        with self._waiting(transport_timeout_s, "it does not read what it is sent") as connection:
            connection.sendall(data)
        return len(data)

    @contextlib.contextmanager
    def _waiting(self, timeout_s: float | None, too_late: str) -> Iterator[socket.socket]:
        """Yields the socket, which waits no longer than it may.

        Raises:
            TcpTimeoutException: it did.
            ConnectionError: the connection is closed, or the kernel has given it up.
        """
        if self._socket is None:
            raise ConnectionError("the connection is closed")
        self._socket.settimeout(self._remaining(timeout_s))
        try:
            yield self._socket
        except TimeoutError as error:
            if error.errno is not None:  # ETIMEDOUT, from the keepalive: not our own time limit
                raise ConnectionAbortedError("the device has left the network") from error
            raise TcpTimeoutException(too_late) from None

    def _remaining(self, timeout_s: float | None) -> float | None:
        """Seconds that an operation may still take: at least a little, since 0 would not wait."""
        remaining = min(
            math.inf if timeout_s is None else timeout_s, self.deadline - time.monotonic()
        )
        return None if remaining == math.inf else max(remaining, 0.001)
