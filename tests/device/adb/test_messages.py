"""Checksums only for a device that needs them; a silent device is asked whether it is there."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

import pytest

from pipeline.core.errors import DeviceError
from pipeline.device.base import DeviceGoneError
from tests.device.conftest import dial
from tests.device.peers import FakeAdbd, message, peer, until_closed
from tests.device.test_hostile_peers import device_that
from tests.no_hang import no_hang

OPEN_SYNC = b"sync:\0"


@pytest.mark.parametrize(
    ("version", "checksum"), [(0x01000000, sum(OPEN_SYNC)), (0x01000001, 0), (0x01000002, 0)]
)
def test_only_an_old_device_is_given_checksums(version: int, checksum: int) -> None:
    checksums: list[int] = []

    def behavior(connection: socket.socket) -> None:
        adbd = FakeAdbd(connection)
        adbd.greet(version=version)
        adbd.accept_stream()
        checksums.append(adbd.checksum)
        until_closed(connection)

    with peer(behavior) as spec, no_hang(20):
        link = dial(spec, timeout_s=5)
        link.open(b"sync:", time.monotonic() + 5)
        link.close()
    assert checksums == [checksum]


@pytest.mark.parametrize(("version", "accepted"), [(0x01000000, False), (0x01000001, True)])
def test_only_an_old_device_s_checksums_are_looked_at(version: int, accepted: bool) -> None:
    def behavior(connection: socket.socket) -> None:
        adbd = FakeAdbd(connection)
        adbd.greet(version=version)
        number = adbd.accept_stream()
        wrong = bytearray(message(b"WRTE", 1, number, b"data"))
        wrong[16] ^= 1
        connection.sendall(wrong)
        until_closed(connection)

    refused = pytest.raises(DeviceGoneError, match="a checksum of")
    with peer(behavior) as spec, no_hang(20):
        link = dial(spec, timeout_s=5)
        stream = link.open(b"sync:", time.monotonic() + 5)
        with contextlib.nullcontext() if accepted else refused:
            assert stream.read(time.monotonic() + 5) == b"data"
        link.close()


def test_a_device_that_refuses_what_there_is_not_is_there() -> None:
    """It says nothing for longer than the timeout, but answers when it is asked."""
    asked = threading.Event()

    def behavior(connection: socket.socket) -> None:
        adbd = FakeAdbd(connection)
        adbd.greet()
        number = adbd.accept_stream()
        adbd.receive()  # the end of standard input
        adbd.send(b"OKAY", 1, number)
        for _ in range(3):
            command, question, _, service = adbd.receive()
            assert (command, service) == (b"OPEN", b"pwl-is-there:\0")
            adbd.send(b"CLSE", 0, question)
        asked.set()
        adbd.send(b"WRTE", 1, number, b"\1\3\0\0\x0077\n\3\1\0\0\0\0")
        until_closed(connection)

    with device_that(behavior, answer_s=1.0) as device:
        assert device.run(["true"], deadline_s=300).returncode == 0
    assert asked.is_set()


def test_a_device_that_does_not_even_refuse_is_gone() -> None:
    def behavior(connection: socket.socket) -> None:
        adbd = FakeAdbd(connection)
        adbd.greet()
        adbd.accept_stream()
        until_closed(connection)

    expected = pytest.raises(DeviceError, match="no longer answers")
    with device_that(behavior, answer_s=0.5) as device, expected:
        device.run(["true"], deadline_s=300)
