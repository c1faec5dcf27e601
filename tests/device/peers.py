"""Peers that are no good: what listens on a port and is not, or not quite, an ADB device."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator

BANNER = b"device::ro.product.model=Fake;features=shell_v2,cmd,stat_v2\0"
MESSAGE = struct.Struct("<6I")

Behavior = Callable[[socket.socket], None]


@contextlib.contextmanager
def peer(behavior: Behavior) -> Iterator[str]:
    """Serves every connection with ``behavior``, then closes it; yields the spec to connect to."""
    listener = socket.create_server(("127.0.0.1", 0))
    connections: list[socket.socket] = []

    def serve() -> None:
        with contextlib.suppress(OSError):  # either side has closed: the test is over
            while True:
                connection, _ = listener.accept()
                connections.append(connection)
                with contextlib.suppress(OSError), connection:
                    behavior(connection)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"adb:127.0.0.1:{listener.getsockname()[1]}"
    finally:
        for endpoint in (listener, *connections):
            with contextlib.suppress(OSError):
                endpoint.shutdown(socket.SHUT_RDWR)
            endpoint.close()
        thread.join()


class FakeAdbd:
    """Enough of adbd to answer one connection: messages as they are given, right or wrong.

    Attributes:
        checksum: that of the message which was received last.
    """

    def __init__(self, connection: socket.socket) -> None:
        self.checksum = 0
        self._connection = connection

    def send(self, command: bytes, arg0: int, arg1: int, data: bytes = b"") -> None:
        self._connection.sendall(message(command, arg0, arg1, data))

    def receive(self) -> tuple[bytes, int, int, bytes]:
        command, arg0, arg1, length, self.checksum, _ = MESSAGE.unpack(self._read(MESSAGE.size))
        return command.to_bytes(4, "little"), arg0, arg1, self._read(length)

    def greet(
        self, banner: bytes = BANNER, max_payload: int = 1 << 20, version: int = 0x01000000
    ) -> None:
        assert self.receive()[0] == b"CNXN"
        self.send(b"CNXN", version, max_payload, banner)

    def accept_stream(self) -> int:
        """Takes the next OPEN, dropping what comes before; returns the host's stream number."""
        while True:
            command, number, _, _ = self.receive()
            if command == b"OPEN":
                self.send(b"OKAY", 1, number)
                return number

    def _read(self, length: int) -> bytes:
        data = b""
        while len(data) < length:
            piece = self._connection.recv(length - len(data))
            if not piece:
                raise ConnectionError
            data += piece
        return data


def message(command: bytes, arg0: int, arg1: int, data: bytes = b"") -> bytes:
    number = int.from_bytes(command, "little")
    header = MESSAGE.pack(number, arg0, arg1, len(data), sum(data), number ^ 0xFFFFFFFF)
    return header + data


def until_closed(connection: socket.socket) -> None:
    """Says nothing until the other side goes away."""
    while connection.recv(1 << 16):
        pass
