"""The socket beneath ADB: nothing lost, the end seen, one deadline."""

from __future__ import annotations

import errno
import hashlib
import random
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from pipeline.device.adb.transport import TcpTransport
from tests.no_hang import no_hang

#: As much as one ADB message carries.
ONE_MESSAGE = random.Random(8).randbytes(1 << 20)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.socket() as listener:
        # Small before it listens, so that accepted connections have a small window from the start.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener


@pytest.fixture
def transport(listener: socket.socket) -> Iterator[TcpTransport]:
    transport = TcpTransport("127.0.0.1", listener.getsockname()[1])
    transport.connect()
    yield transport
    transport.close()


def socket_of(transport: TcpTransport) -> socket.socket:
    (connection,) = [it for it in vars(transport).values() if isinstance(it, socket.socket)]
    return connection


def test_a_slow_reader_gets_every_byte(listener: socket.socket, transport: TcpTransport) -> None:
    """As on Wi-Fi, where a message does not fit into the socket's buffer."""
    socket_of(transport).setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    arrived = hashlib.sha256()

    def read_slowly() -> None:
        accepted, _ = listener.accept()
        with accepted:
            while piece := accepted.recv(1000):
                arrived.update(piece)

    reader = threading.Thread(target=read_slowly)
    reader.start()
    with no_hang(30):
        transport.deadline = time.monotonic() + 20
        pieces = [ONE_MESSAGE[:24], b"", ONE_MESSAGE[24:70_000], ONE_MESSAGE[70_000:]]
        transport.write(*pieces)
        transport.close()
        reader.join()
    assert arrived.digest() == hashlib.sha256(ONE_MESSAGE).digest()


def test_small_messages_are_sent_without_delay(transport: TcpTransport) -> None:
    assert socket_of(transport).getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_peer_that_vanishes_is_looked_for(transport: TcpTransport) -> None:
    connection = socket_of(transport)
    assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    silence = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
    assert silence <= 10


def test_the_end_of_the_connection_is_seen_at_once(
    listener: socket.socket, transport: TcpTransport
) -> None:
    listener.accept()[0].close()
    with no_hang(20), pytest.raises(ConnectionResetError):
        transport.read(1)


def test_waiting_ends_with_the_connection(listener: socket.socket, transport: TcpTransport) -> None:
    listener.accept()[0].close()
    with no_hang(20):
        assert transport.wait()


def test_waiting_ends_at_the_deadline(transport: TcpTransport) -> None:
    transport.deadline = time.monotonic() + 0.1
    with no_hang(20):
        assert not transport.wait()


def test_waiting_takes_nothing_away(listener: socket.socket, transport: TcpTransport) -> None:
    listener.accept()[0].sendall(b"x")
    assert transport.wait()
    assert transport.read(1) == b"x"


def test_a_device_that_has_left_the_network_is_not_a_slow_one(
    transport: TcpTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The keepalive's ETIMEDOUT and a socket's own time limit are the same Python exception."""

    class GivenUp(socket.socket):
        def recv(self, *_: int) -> bytes:
            raise TimeoutError(errno.ETIMEDOUT, "Connection timed out")

    with GivenUp() as given_up:
        monkeypatch.setattr(transport, "_socket", given_up)
        with pytest.raises(ConnectionError, match="left the network"):
            transport.wait()
        with pytest.raises(ConnectionError, match="left the network"):
            transport.read(1)


def test_reading_ends_at_the_deadline(transport: TcpTransport) -> None:
    transport.deadline = time.monotonic() + 0.1
    with no_hang(20), pytest.raises(TimeoutError):
        transport.read(1)


def test_writing_to_a_peer_that_does_not_read_ends_at_the_deadline(
    transport: TcpTransport,
) -> None:
    transport.deadline = time.monotonic() + 0.2
    with no_hang(20), pytest.raises(TimeoutError):
        transport.write(bytes(100_000_000))


def test_a_closed_transport_is_an_error(transport: TcpTransport) -> None:
    transport.close()
    with pytest.raises(ConnectionError):
        transport.read(1)
    with pytest.raises(ConnectionError):
        transport.write(b"x")
