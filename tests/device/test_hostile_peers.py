"""Whatever listens at the address: a clear error, soon, and never anything but a DeviceError."""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

from pipeline.core.errors import DeviceError, ExitCode
from pipeline.device.adb.device import AdbDevice
from pipeline.device.base import Device, DeviceGoneError, DeviceTimeoutError, TransferError
from pipeline.device.connect import connect
from tests.no_hang import no_hang

from .peers import BANNER, Behavior, FakeAdbd, message, peer, until_closed

#: Seconds for an answer that comes, and for one that never does.
AMPLE_S, SHORT_S = 30.0, 0.5


def say(data: bytes) -> Behavior:
    """Sends the same bytes to everybody, then listens only."""

    def behavior(connection: socket.socket) -> None:
        connection.sendall(data)
        until_closed(connection)

    return behavior


def reset(connection: socket.socket) -> None:
    connection.recv(1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def trickle(connection: socket.socket) -> None:
    """One byte of a correct answer at a time, forever too slow."""
    for byte in message(b"CNXN", 0x01000000, 1 << 20, BANNER):
        connection.sendall(bytes([byte]))
        time.sleep(0.1)


def want_tls(connection: socket.socket) -> None:
    """As wireless debugging does with a host that was not paired."""
    adbd = FakeAdbd(connection)
    adbd.receive()
    adbd.send(b"STLS", 0x01000000, 0)
    adbd.receive()


NOT_ADB: dict[str, tuple[Behavior, str]] = {
    "closes at once": (lambda connection: None, "ended the connection before it was accepted"),
    "resets": (reset, "ended the connection before it was accepted"),
    "silent": (until_closed, "does not answer as an ADB device"),
    "trickles": (trickle, "does not answer as an ADB device"),
    "random": (say(random.Random(1).randbytes(100_000)), "does not speak ADB"),
    "zeros": (say(bytes(1000)), "does not speak ADB"),
    "web server": (say(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"), "not speak ADB"),
    "ssh server": (say(b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n"), "does not speak ADB"),
    "announces 4 GB": (
        say(MESSAGE := struct.pack("<6I", 0x4E584E43, 1, 1 << 20, 0xFFFFFFFF, 0, 0xB1A7B1BC)),
        "does not speak ADB: a message of 4294967295 bytes",
    ),
    "half a header": (say(MESSAGE[:10]), "does not answer as an ADB device"),
    "half a banner": (say(message(b"CNXN", 1, 1 << 20, BANNER)[:-5]), "does not answer as an ADB"),
    "wrong checksum": (
        say(message(b"CNXN", 1, 1 << 20, BANNER)[:-2] + b"x\0"),
        "does not speak ADB: a checksum of",
    ),
    "wants TLS, then hangs up": (want_tls, "takes paired hosts only, and does not know this one"),
    "wants TLS, then is silent": (say(message(b"STLS", 0x01000000, 0)), "does not answer as an"),
    "old Android": (
        say(message(b"CNXN", 0x01000000, 4096, b"device::ro.product.model=Old;")),
        "no shell protocol 2",
    ),
    "recovery": (
        say(message(b"CNXN", 0x01000000, 1 << 20, BANNER.replace(b"device", b"recovery"))),
        "cannot be used: recovery",
    ),
    "tiny messages": (say(message(b"CNXN", 0x01000000, 0, BANNER)), "messages of 0 bytes"),
    "token too long": (
        say(message(b"AUTH", 1, 0, bytes(1000))),
        "does not speak ADB: Unknown AUTH message 1 of 1000 bytes",
    ),
    "bad AUTH": (say(message(b"AUTH", 7, 0, b"x")), "does not speak ADB: Unknown AUTH message 7"),
}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys that these peers ask for are made where nobody minds."""
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.mark.parametrize(("behavior", "message"), NOT_ADB.values(), ids=NOT_ADB.keys())
def test_connecting_fails_with_the_reason_and_a_remedy(behavior: Behavior, message: str) -> None:
    timeout_s = SHORT_S if "does not answer" in message else AMPLE_S
    with peer(behavior) as spec, no_hang(60), pytest.raises(DeviceError, match=message) as caught:
        connect(spec, timeout_s=timeout_s, consent_timeout_s=timeout_s)
    assert caught.value.code is ExitCode.DEVICE
    assert spec.removeprefix("adb:") in caught.value.what


def test_a_closed_port_is_named_with_the_remedy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with no_hang(60), pytest.raises(DeviceError, match=f"nothing listens at 127.0.0.1:{port}") as e:
        connect(f"adb:127.0.0.1:{port}")
    assert "adb tcpip 5555" in e.value.remedy
    assert "scripts/loopback-device start" in e.value.remedy


def test_an_owner_who_says_no_is_reported() -> None:
    def behavior(connection: socket.socket) -> None:
        adbd = FakeAdbd(connection)
        adbd.receive()
        adbd.send(b"AUTH", 1, 0, bytes(20))
        adbd.receive()  # the signature
        adbd.send(b"AUTH", 1, 0, bytes(20))
        adbd.receive()  # the public key: the owner is asked

    expected = pytest.raises(DeviceError, match=r"not authorized .* its owner did not allow it")
    with peer(behavior) as spec, no_hang(60), expected:
        connect(spec)


def test_old_android_is_told_what_is_needed() -> None:
    banner = b"device::ro.product.model=Old;features=cmd"
    with peer(say(message(b"CNXN", 1, 4096, banner))) as spec, pytest.raises(DeviceError) as caught:
        connect(spec)
    assert "Android 7" in caught.value.remedy


@contextlib.contextmanager
def device_that(behavior: Behavior, *, answer_s: float = AMPLE_S) -> Iterator[Device]:
    """A device that accepts the connection; what it does then must end before the time is up.

    Args:
        behavior: that of the peer.
        answer_s: seconds that it has for an answer, once it is connected to.
    """
    with peer(behavior) as spec, no_hang(60), connect(spec, timeout_s=AMPLE_S) as device:
        assert isinstance(device, AdbDevice)
        device._current.timeout_s = answer_s
        yield device


def after_greeting(*messages: tuple[bytes, bytes], close: bool = False) -> Behavior:
    """Accepts the connection and one stream, then sends these commands with their data on it."""

    def behavior(connection: socket.socket) -> None:
        adbd = FakeAdbd(connection)
        adbd.greet()
        number = adbd.accept_stream()
        for command, data in messages:
            adbd.send(command, 1, number, data)
        if not close:
            until_closed(connection)

    return behavior


def frame(kind: int, data: bytes) -> bytes:
    return struct.pack("<BI", kind, len(data)) + data


BAD_SHELLS: dict[str, tuple[Behavior, str]] = {
    "closes the stream": (after_greeting((b"CLSE", b"")), "without an exit status"),
    "closes the connection": (after_greeting(close=True), "is lost"),
    "prints no number": (after_greeting((b"WRTE", frame(1, b"Welcome!\n"))), "instead of a number"),
    "garbage": (after_greeting((b"XXXX", b"")), "is lost: Unknown command"),
    "endless output": (after_greeting((b"WRTE", frame(1, b"x" * 20_000))), "more than 10000 bytes"),
}


@pytest.mark.parametrize(("behavior", "message"), BAD_SHELLS.values(), ids=BAD_SHELLS.keys())
def test_a_shell_that_misbehaves_is_an_error(behavior: Behavior, message: str) -> None:
    with device_that(behavior) as device, pytest.raises(DeviceError, match=message):
        device.run(["true"], deadline_s=AMPLE_S, output_limit=10_000)


def test_a_shell_that_says_nothing_meets_the_deadline() -> None:
    expected = pytest.raises(DeviceTimeoutError, match="no longer answers")
    with device_that(after_greeting(), answer_s=SHORT_S) as device, expected:
        device.run(["true"], deadline_s=SHORT_S)


def test_shell_output_may_come_in_any_pieces() -> None:
    output = (
        frame(1, b"77\nout")
        + frame(2, b"err")
        + frame(9, b"?")
        + frame(1, b"put")
        + frame(3, b"\5")
    )
    pieces = [(b"WRTE", output[i : i + 1]) for i in range(len(output))]
    with device_that(after_greeting(*pieces)) as device:
        done = device.run(["true"], deadline_s=AMPLE_S)
    assert (done.stdout, done.stderr, done.returncode) == (b"output", b"err", 5)


def test_a_shell_that_is_slow_to_start_and_to_say_its_number_is_killed_nevertheless() -> None:
    killed = threading.Event()

    def behavior(connection: socket.socket) -> None:
        adbd = FakeAdbd(connection)
        adbd.greet()
        number = adbd.accept_stream()
        adbd.send(b"WRTE", 1, number, frame(1, b"77\n"))
        command, number, _, service = adbd.receive()
        while command != b"OPEN":
            command, number, _, service = adbd.receive()
        if service == b"shell,v2,raw:kill -9 -- -77\0":
            killed.set()
        adbd.send(b"OKAY", 2, number)
        adbd.send(b"CLSE", 2, number)
        until_closed(connection)

    expected = pytest.raises(DeviceTimeoutError, match="it was killed")
    with device_that(behavior) as device, expected:
        device.run(["true"], deadline_s=0.0)  # which has passed before anything is said
    assert killed.is_set()


def test_the_deadline_holds_against_a_flood() -> None:
    """A peer that sends on without waiting for confirmations, as real ones do not."""

    def flood(connection: socket.socket) -> None:
        adbd = FakeAdbd(connection)
        adbd.greet()
        number = adbd.accept_stream()
        while True:
            adbd.send(b"WRTE", 1, number, frame(9, bytes(100_000)))

    late = pytest.raises(DeviceTimeoutError)
    with device_that(flood, answer_s=SHORT_S) as device, late:
        device.run(["true"], deadline_s=SHORT_S)


def test_messages_for_other_streams_are_dropped() -> None:
    def behavior(connection: socket.socket) -> None:
        adbd = FakeAdbd(connection)
        adbd.greet()
        number = adbd.accept_stream()
        adbd.send(b"WRTE", 9, number + 5, frame(3, b"\1"))
        adbd.send(b"CLSE", 9, number + 5)
        adbd.send(b"WRTE", 1, number, frame(1, b"77\n") + frame(3, b"\0"))
        until_closed(connection)

    with device_that(behavior) as device:
        assert device.run(["true"], deadline_s=AMPLE_S).returncode == 0


def test_a_device_without_proc_does_not_say_what_it_is() -> None:
    answer = frame(1, b"77\nMinix\n") + frame(2, b"uname: no -r") + frame(3, b"\0")
    expected = pytest.raises(DeviceError, match="does not say what it is: uname: no -r")
    with device_that(after_greeting((b"WRTE", answer))) as device, expected:
        device.properties()


def sync_after_shells(shell_outputs: list[bytes], sync_answer: bytes) -> Behavior:
    """Answers the shell commands of a transfer, the transfer itself, and what clears it away."""

    def behavior(connection: socket.socket) -> None:
        adbd = FakeAdbd(connection)
        adbd.greet()
        for output in shell_outputs:
            number = adbd.accept_stream()
            adbd.send(b"WRTE", 1, number, frame(1, b"77\n" + output) + frame(3, b"\0"))
        number = adbd.accept_stream()
        adbd.send(b"WRTE", 1, number, sync_answer)
        while True:
            number = adbd.accept_stream()
            adbd.send(b"WRTE", 1, number, frame(1, b"77\n") + frame(3, b"\0"))

    return behavior


BAD_SYNCS = {
    "unknown": b"WHAT\4\0\0\0abcd",
    "of another service": b"DENT\4\0\0\0abcd",
    "4 GB": b"DATA\xff\xff\xff\xff",
    "no bytes": b"DATA\0\0\0\0",
    "zeros": bytes(8),
}


def test_a_push_that_is_answered_endlessly_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(bytes(100))
    endless = b"FAIL\xff\xff\xff\xff" + bytes(100_000)
    expected = pytest.raises(TransferError, match="talks too much")
    with device_that(sync_after_shells([b""], endless)) as device, expected:
        device.push(tmp_path / "source", PurePosixPath("/data/target"))


@pytest.mark.parametrize("answer", BAD_SYNCS.values(), ids=BAD_SYNCS.keys())
def test_a_push_that_is_answered_with_nonsense_is_an_error(answer: bytes, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(bytes(100))
    expected = pytest.raises(TransferError, match="answered")
    with device_that(sync_after_shells([b""], answer)) as device, expected:
        device.push(tmp_path / "source", PurePosixPath("/data/target"))


def test_silence_in_the_middle_of_a_message_loses_the_connection() -> None:
    def behavior(connection: socket.socket) -> None:
        adbd = FakeAdbd(connection)
        adbd.greet()
        number = adbd.accept_stream()
        connection.sendall(message(b"WRTE", 1, number, frame(1, b"77\n"))[:-2])
        until_closed(connection)

    gone = pytest.raises(DeviceGoneError, match="nothing came")
    with device_that(behavior, answer_s=2 * SHORT_S) as device, gone:
        device.run(["true"], deadline_s=300)


def test_a_connection_that_was_lost_stays_lost() -> None:
    with device_that(after_greeting(close=True)) as device:
        for _ in range(2):
            with pytest.raises(DeviceGoneError):
                device.run(["true"], deadline_s=AMPLE_S)
