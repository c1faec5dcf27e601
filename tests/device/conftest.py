from __future__ import annotations

import contextlib
import functools
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from adb_shell.auth.keygen import keygen

from pipeline.device.adb import handshake
from pipeline.device.adb.direct import DirectLink
from pipeline.device.adb.transport import TcpTransport
from pipeline.device.base import Device
from pipeline.device.connect import connect

from .adb_server import NEWER, SYSTEM, AdbServer, adb_program, adb_server

#: Seconds within which a device that hangs is noticed, where one second is the timeout: after 1.4.
#: With the usual timeout it would take 14; see test_silence.py.
NOTICED = 6


@pytest.fixture(scope="session")
def servers(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[str], AdbServer]]:
    """The adb server of a kind, which the whole session shares."""
    with contextlib.ExitStack() as stack:

        @functools.cache
        def start(kind: str) -> AdbServer:
            home = tmp_path_factory.mktemp("adb-server")
            return stack.enter_context(adb_server(adb_program(kind), home))

        yield start


@pytest.fixture(scope="session")
def paired_key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    key = tmp_path_factory.mktemp("paired") / "adbkey"
    keygen(str(key))
    key.chmod(0o600)
    return key


class Wireless:
    """A device with wireless debugging that knows one key, as after `adb pair`.

    Its daemon is Debian's, made to speak TLS by one changed jump. It has a use after free of its
    own, and so crashes now and then when a connection ends: then another takes its place, and
    the test is tried again (see tests/conftest.py).
    """

    def __init__(self, start: Callable[[], dict[str, Any]]) -> None:
        self._start = start
        self._device: dict[str, Any] = {}

    @property
    def spec(self) -> str:
        # Its process is looked at: a connection that only knocks is what the daemon dies of.
        if not self._device or not Path(f"/proc/{self._device['adbd_pid']}").exists():
            self._device = self._start()
        spec: str = self._device["spec"]
        return spec


@pytest.fixture(scope="session")
def wireless_device(start_loopback: Callable[..., dict[str, Any]], paired_key: Path) -> Wireless:
    options = ("--auth", "--tls", "--auth-key", f"{paired_key}.pub")
    return Wireless(functools.partial(start_loopback, *options))


@pytest.fixture
def wireless(wireless_device: Wireless) -> str:
    return wireless_device.spec


@pytest.fixture(params=["local", "adb", SYSTEM, NEWER, "adb over TLS"])
def spec(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each kind of device in turn: what holds for one must hold for the others."""
    if request.param == "local":
        return f"local:{tmp_path / 'device'}"
    if request.param == "adb over TLS":
        monkeypatch.setenv("ADB_VENDOR_KEYS", str(request.getfixturevalue("paired_key")))
        # As with Android 11 to 13: each message is confirmed by itself.
        monkeypatch.setattr(handshake, "FEATURES", handshake.FEATURES[:-1])
        wireless: str = request.getfixturevalue("wireless")
        return wireless
    adb: str = request.getfixturevalue("loopback_device")
    if request.param != "adb":
        server: AdbServer = request.getfixturevalue("servers")(request.param)
        server.attach(adb)
        # A server that knows the device goes before the address; see `connect`.
        monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(server.port))
    return adb


@pytest.fixture
def device(spec: str) -> Iterator[Device]:
    with connect(spec) as device:
        yield device


@pytest.fixture
def second(spec: str) -> Iterator[Device]:
    """The same device, over a connection of its own."""
    with connect(spec) as device:
        yield device


@pytest.fixture
def folder(device: Device, second: Device) -> Iterator[PurePosixPath]:
    """A new folder on the device."""
    folder = device.workdir / uuid.uuid4().hex
    assert second.run(["mkdir", str(folder)], deadline_s=10).returncode == 0
    yield folder
    second.run(["rm", "-rf", str(folder)], deadline_s=10)


def dial(spec: str, *, timeout_s: float) -> DirectLink:
    """A connection of our own to the device at an address."""
    _, host, port = spec.split(":")
    return DirectLink.dial(TcpTransport(host, int(port)), timeout_s=timeout_s, consent_s=1)


def names(device: Device, folder: PurePosixPath) -> list[str]:
    """What a folder on the device holds, hidden files included."""
    listing = device.run(["ls", "-A", str(folder)], deadline_s=10)
    assert listing.returncode == 0
    return sorted(listing.stdout.decode().split())


def read(device: Device, path: PurePosixPath) -> bytes:
    done = device.run(["cat", str(path)], deadline_s=10)
    assert done.returncode == 0, done.stderr
    return done.stdout
