"""`Device.lock`: one run at a time, whatever becomes of it."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from pipeline.core.errors import DeviceError, ExitCode
from pipeline.core.locks import LOCK_NAME, BusyError
from pipeline.device.adb.lock import NO_FLOCK, ON_DEVICE, AdbLock
from pipeline.device.adb.transport import TcpTransport
from pipeline.device.base import Device
from pipeline.device.connect import connect
from tests.holder import holder
from tests.no_hang import no_hang

from .adb_server import NEWER, SYSTEM, AdbServer
from .conftest import dial
from .peers import peer
from .test_hostile_peers import after_greeting, frame

LARGE = random.Random(12).randbytes(3_000_000)


def test_a_device_in_use_is_refused_with_the_name_of_its_user(device: Device, spec: str) -> None:
    with holder("device", spec) as other, pytest.raises(BusyError) as caught:
        device.lock()
    assert caught.value.code is ExitCode.DEVICE
    assert re.search(rf"in use by \S+@\S+, process {other.pid}, since 20", caught.value.what)
    assert "wait for its end" in caught.value.remedy


def test_a_lock_that_was_closed_can_be_taken_at_once(device: Device, second: Device) -> None:
    for each in (device, second, device):
        with each.lock():
            pass


def test_a_killed_run_frees_the_device(device: Device, spec: str) -> None:
    with holder("device", spec) as other:
        other.kill()
        other.wait()
        with device.lock():
            pass


def test_the_device_works_while_it_is_locked(device: Device, second: Device) -> None:
    with device.lock() as lock:
        for each in (device, second):
            assert each.run(["echo", "works"], deadline_s=10).stdout == b"works\n"
        lock.require()
        lock.require()


def test_a_lock_whose_file_was_removed_is_no_longer_good(device: Device) -> None:
    with device.lock() as lock:
        device.run(["rm", str(device.workdir / LOCK_NAME)], deadline_s=10)
        with pytest.raises(DeviceError, match=r"lost|was removed"):
            lock.require()


@pytest.mark.parametrize("kind", ["folder", "link"])
def test_something_else_in_the_lock_s_place_is_named(device: Device, kind: str) -> None:
    path = str(device.workdir / LOCK_NAME)
    device.run(["rm", "-f", path], deadline_s=10)
    make = ["mkdir", path] if kind == "folder" else ["ln", "-s", "/data/local/tmp/x", path]
    assert device.run(make, deadline_s=10).returncode == 0
    try:
        with no_hang(20), pytest.raises(DeviceError) as caught:
            device.lock()
        assert path in caught.value.what
        assert not isinstance(caught.value, BusyError)
    finally:
        device.run(["rm", "-rf", path], deadline_s=10)


def test_the_process_that_the_remedy_names_ends_the_lock(loopback_device: str) -> None:
    with (
        connect(loopback_device) as first,
        connect(loopback_device) as second,
        first.lock() as lock,
    ):
        with pytest.raises(BusyError) as caught:
            second.lock()
        kill = re.search(r"`adb shell (kill \d+)`", caught.value.remedy)
        assert kill is not None
        assert second.run(kill[1].split(), deadline_s=10).returncode == 0
        with second.lock():
            pass
        with pytest.raises(DeviceError, match="was lost"):
            lock.require()


def test_a_device_that_another_host_uses_is_refused_with_its_name(
    servers: Callable[[str], AdbServer],
    start_loopback: Callable[..., dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two servers stand for the hosts: each has a key of its own."""
    spec = start_loopback("--auth", "--accept-keys")["spec"]
    serial = spec.removeprefix("adb:")
    here, there = servers(SYSTEM), servers(NEWER)
    for server in (here, there):
        server.adb("connect", serial)
        server.adb("-s", serial, "wait-for-device")  # its owner presses Allow
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(there.port))
    with holder("device", spec) as other:
        monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(here.port))
        with connect(spec) as device, pytest.raises(BusyError) as caught:
            assert device.properties().extra["adb.route"] == "adb server"
            device.lock()
    for server in (here, there):
        server.adb("disconnect", serial)
    assert re.search(rf"in use by \S+@\S+, process {other.pid}, since 20", caught.value.what)


def test_a_device_that_takes_one_connection_is_locked_over_that_one(
    loopback_device: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one on USB does: whatever else is done goes between the lock's questions and answers."""
    opened: list[TcpTransport] = []
    connect_socket = TcpTransport.connect

    def counted(self: TcpTransport) -> None:
        opened.append(self)
        connect_socket(self)

    monkeypatch.setattr(TcpTransport, "alone", True)
    monkeypatch.setattr(TcpTransport, "connect", counted)
    (tmp_path / "source").write_bytes(LARGE)
    with no_hang(60), connect(loopback_device) as device, connect(loopback_device) as other:
        with device.lock() as lock:
            target = device.workdir / "alone"
            device.push(tmp_path / "source", target)
            assert device.run(["cat"], deadline_s=30, stdin=LARGE).stdout == LARGE
            lock.require()
            with pytest.raises(BusyError):
                other.lock()
            assert device.run(["rm", str(target)], deadline_s=10).returncode == 0
            lock.require()
        with other.lock():
            assert device.run(["echo", "open"], deadline_s=10).stdout == b"open\n"
    assert len(opened) == 2


def test_a_lock_that_ends_while_something_else_is_read_over_its_connection_is_lost_at_once(
    loopback_device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TcpTransport, "alone", True)
    with connect(loopback_device) as device, device.lock() as lock:
        holder = device.run(["cat", str(device.workdir / LOCK_NAME)], deadline_s=10).stdout
        there = ON_DEVICE.search(holder.decode().strip())
        assert there is not None
        device.run(["kill", there[1]], deadline_s=10)
        with no_hang(20):
            while device.run(["kill", "-0", there[1]], deadline_s=10).returncode == 0:
                pass
        # Far less than the lock has for an answer.
        with no_hang(8), pytest.raises(DeviceError, match="its program has ended"):
            lock.require()


def test_a_device_without_flock_is_refused() -> None:
    answer = frame(1, b"77\n") + frame(3, bytes([NO_FLOCK]))
    with peer(after_greeting((b"WRTE", answer))) as spec, no_hang(20):
        link = dial(spec, timeout_s=0.5)
        with pytest.raises(DeviceError, match="has no program flock") as caught:
            AdbLock(spec, link, PurePosixPath("/data/x/.lock"), "me")
    assert "Android 8" in caught.value.remedy


def test_a_local_folder_that_cannot_be_locked_is_a_device_error(tmp_path: Path) -> None:
    (tmp_path / LOCK_NAME).mkdir()
    with connect(f"local:{tmp_path}") as device, pytest.raises(DeviceError) as caught:
        device.lock()
    assert "local:FOLDER" in caught.value.remedy


def test_closing_twice_is_no_error(device: Device) -> None:
    lock = device.lock()
    lock.close()
    lock.close()
