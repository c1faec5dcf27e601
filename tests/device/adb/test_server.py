"""Devices behind an adb server: which one is meant, and what becomes of it."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from pipeline.core.errors import DeviceError, ExitCode, PipelineError, UsageError
from pipeline.device.base import Device, DeviceGoneError
from pipeline.device.connect import connect, every_device
from pipeline.device.identity import identify
from tests.device.adb_server import NEWER, SYSTEM, AdbServer, adb_program, adb_server
from tests.device.conftest import names
from tests.device.peers import Behavior, peer, until_closed
from tests.no_hang import no_hang

StartLoopback = Callable[..., dict[str, Any]]

LARGE = random.Random(9).randbytes(8_000_000)


@pytest.fixture(params=[SYSTEM, NEWER])
def server(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[AdbServer]:
    """A server without devices, which is the one that a user has."""
    with adb_server(adb_program(request.param), tmp_path) as server:
        monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(server.port))
        yield server


@pytest.fixture
def victim(start_loopback: StartLoopback) -> Iterator[dict[str, Any]]:
    """A loopback device that may be broken."""
    record = start_loopback()
    yield record
    os.kill(record["init_pid"], signal.SIGKILL)


@pytest.fixture
def device(server: AdbServer, victim: dict[str, Any]) -> Iterator[Device]:
    server.attach(victim["spec"])
    with connect("adb", timeout_s=1.0) as device:
        yield device


def refusal(spec: str, kind: type[PipelineError] = DeviceError, **options: float) -> PipelineError:
    """The error that connecting ends with."""
    with no_hang(30), pytest.raises(kind) as caught:
        connect(spec, **options)
    assert caught.value.remedy
    return caught.value


# ---- which device


def test_the_only_device_needs_no_name(server: AdbServer, loopback_device: str) -> None:
    serial = server.attach(loopback_device)
    with connect("adb") as device:
        assert device.spec == f"adb:{serial}"
        assert device.properties().serial == serial
        assert device.properties().extra["adb.route"] == "adb server"


def test_without_a_device_there_is_none_to_choose(server: AdbServer) -> None:
    error = refusal("adb")
    assert "has no device" in error.what
    assert error.code is ExitCode.DEVICE


def test_of_two_devices_one_has_to_be_named(
    server: AdbServer,
    loopback_device: str,
    victim: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    serials = [server.attach(spec) for spec in (loopback_device, victim["spec"])]
    error = refusal("adb", UsageError)
    assert all(f"adb:{serial}  device  Loopback" in error.what for serial in serials)
    assert "ANDROID_SERIAL" in error.remedy
    monkeypatch.setenv("ANDROID_SERIAL", serials[1])
    with connect("adb") as device:
        assert device.properties().serial == serials[1]


def test_an_unknown_serial_is_told_what_there_is(server: AdbServer, loopback_device: str) -> None:
    serial = server.attach(loopback_device)
    error = refusal("adb:R5CN30")
    assert "has no device R5CN30" in error.what
    assert f"adb:{serial}  device" in error.what
    assert "emulator-5554" in refusal("emulator-5554").what


def test_an_address_that_the_server_has_goes_through_it(
    server: AdbServer, loopback_device: str
) -> None:
    server.attach(loopback_device)
    with connect(loopback_device) as device:
        assert device.properties().extra["adb.route"] == "adb server"


def test_an_address_that_the_server_does_not_know_is_connected_to(
    server: AdbServer, loopback_device: str
) -> None:
    with connect(loopback_device) as device:
        assert device.properties().extra["adb.route"] == "TCP"


def test_an_emulator_is_called_by_the_port_of_its_console(
    start_loopback: StartLoopback, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To an adb server, what listens on port 5555 of its machine is one: it finds it by itself."""
    try:
        socket.create_server(("127.0.0.1", 5555)).close()
    except OSError as error:
        pytest.skip(f"not here: port 5555, which an emulator would have ({error.strerror})")
    record = start_loopback("--port", "5555")
    try:
        with adb_server(adb_program(SYSTEM), tmp_path, emulators=True) as server:
            monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(server.port))
            with no_hang(20):
                server.adb("-s", "emulator-5554", "wait-for-device")
            with connect("emulator-5554") as device:
                properties = device.properties()
                assert device.spec == properties.serial == "emulator-5554"
                assert properties.extra["adb.route"] == "adb server"
                assert identify(device, properties).virtual
                assert device.run(["echo", "here"], deadline_s=10).stdout == b"here\n"
            assert every_device() == {"adb:emulator-5554": None}
    finally:
        os.kill(record["init_pid"], signal.SIGKILL)


def test_an_owner_who_does_not_allow_the_server_s_key_is_named(
    server: AdbServer, start_loopback: StartLoopback, caplog: pytest.LogCaptureFixture
) -> None:
    server.adb("connect", start_loopback("--auth")["spec"].removeprefix("adb:"))
    error = refusal("adb", consent_timeout_s=0.3)
    assert "unauthorized" in error.what
    assert "Allow USB debugging" in error.remedy
    assert any("waits for its owner" in record.getMessage() for record in caplog.records)


def test_the_server_may_be_named_by_its_socket(
    server: AdbServer, loopback_device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.attach(loopback_device)
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", "1")
    monkeypatch.setenv("ADB_SERVER_SOCKET", f"tcp:localhost:{server.port}")
    with connect("adb") as device:
        assert device.run(["echo", "far"], deadline_s=10).stdout == b"far\n"


# ---- no server, or none that is good


def test_a_server_is_started_with_the_user_s_adb(
    loopback_device: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = adb_program(SYSTEM)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(probe.getsockname()[1]))
    monkeypatch.setenv("HOME", str(tmp_path))
    try:
        assert "has no device" in refusal("adb").what
        subprocess.run([program, "connect", loopback_device.removeprefix("adb:")], check=True)
        with connect("adb") as device:
            assert device.run(["true"], deadline_s=10).returncode == 0
    finally:
        subprocess.run([program, "kill-server"], check=True)


def test_without_an_adb_to_start_a_server_another_way_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    for name in ("ANDROID_HOME", "ANDROID_SDK_ROOT"):
        monkeypatch.delenv(name, raising=False)
    for spec in ("adb", "adb:R5CN30", "emulator-5554"):
        error = refusal(spec)
        assert "no adb server runs at 127.0.0.1:1" in error.what
        assert "apt-get install adb" in error.remedy
        assert "adb:HOST:PORT" in error.remedy


def test_an_adb_that_starts_no_server_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "adb"
    program.write_text("#!/bin/sh\nexit 7\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert f"{program} could not start an adb server" in refusal("adb").what


def test_a_server_on_another_machine_is_not_started_from_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ADB_SERVER_SOCKET", "tcp:no-such-lab.invalid:5037")
    error = refusal("adb")
    assert "no adb server answers at no-such-lab.invalid:5037" in error.what
    assert "there" in error.remedy


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ADB_SERVER_SOCKET", "lab:5037"),
        ("ADB_SERVER_SOCKET", "tcp:lab:99999"),
        ("ANDROID_ADB_SERVER_PORT", "phone"),
        ("ANDROID_ADB_SERVER_PORT", "0"),
    ],
)
def test_a_variable_that_holds_no_address_is_a_usage_error(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    assert name in refusal("adb", UsageError).what


@contextlib.contextmanager
def server_that(behavior: Behavior, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with peer(behavior) as address:
        monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", address.rpartition(":")[2])
        yield


def says(data: bytes) -> Behavior:
    def behavior(connection: socket.socket) -> None:
        connection.recv(1000)
        connection.sendall(data)

    return behavior


BAD_SERVERS: dict[str, tuple[Behavior, str]] = {
    "web server": (says(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "is no adb server: it said b'HTTP'"),
    "a device": (says(b"CNXN" + bytes(20)), "is no adb server: it said b'CNXN'"),
    "no length": (says(b"OKAYzzzz"), "is no adb server"),
    "half an answer": (says(b"OKAY00ffhalf"), "is no adb server: its answer is cut short"),
    "failure": (says(b"FAIL0004oops"), "oops"),
    "failure without words": (says(b"FAILoops"), "is no adb server"),
    "hangs up": (lambda connection: None, "ended the connection"),
    "silent": (until_closed, "did not answer in time"),
}


@pytest.mark.parametrize(("behavior", "message"), BAD_SERVERS.values(), ids=BAD_SERVERS.keys())
def test_what_is_no_adb_server_is_named(
    behavior: Behavior, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with server_that(behavior, monkeypatch):
        error = refusal("adb", timeout_s=0.5 if behavior is until_closed else 20)
    assert message in error.what
    assert error.code is ExitCode.DEVICE


#: States in which a device cannot be used, and a part of what to do about each.
STATES = {
    "offline": "unplug and plug it again",
    "unauthorized": 'press "Allow USB debugging"',
    "recovery": "`adb -s R5CN30 reboot`",
    "sideload": "`adb -s R5CN30 reboot`",
    "bootloader": "`fastboot -s R5CN30 reboot`",
    "no permissions (missing udev rules?); see [http://x]": "udev rules",
}


@pytest.mark.parametrize(("state", "remedy"), STATES.items(), ids=STATES.keys())
@pytest.mark.parametrize("spec", ["adb", "adb:R5CN30"])
def test_a_device_that_cannot_be_used_is_named_with_its_state_and_what_to_do(
    spec: str, state: str, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = f"R5CN30                 {state} usb:1-1 transport_id:4\n".encode()
    with server_that(says(b"OKAY%04x%s" % (len(answer), answer)), monkeypatch):
        error = refusal(spec, timeout_s=20, consent_timeout_s=0.0)
    assert "adb:R5CN30 cannot be used" in error.what
    assert remedy in error.remedy
    assert error.code is ExitCode.DEVICE


# ---- while it is used


def test_a_server_killed_in_a_command_is_named(device: Device, server: AdbServer) -> None:
    timer = threading.Timer(0.5, server.process.kill)
    timer.start()
    with no_hang(20), pytest.raises(DeviceGoneError, match="no adb server answers"):
        device.run(["sleep", "60"], deadline_s=300)
    timer.join()


def test_a_server_killed_in_a_push_leaves_nothing_and_the_next_one_goes_on(
    device: Device, server: AdbServer, victim: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "source").write_bytes(LARGE)
    target = PurePosixPath("/data/local/tmp/folder/target")
    with no_hang(20), pytest.raises(DeviceError, match="no adb server answers"):
        device.push(tmp_path / "source", target, progress=lambda done, of: server.process.kill())
    server.process.wait()
    with adb_server(server.program, tmp_path / "again", port=server.port) as again:
        again.attach(victim["spec"])
        with connect("adb") as device:
            with no_hang(20):
                while names(device, target.parent):
                    pass  # the device sees that the other server has gone
            device.push(tmp_path / "source", target)
            assert names(device, target.parent) == ["target"]


def test_a_device_that_is_unplugged_in_a_command_is_gone(device: Device, server: AdbServer) -> None:
    timer = threading.Timer(0.5, server.adb, ["disconnect"])
    timer.start()
    with no_hang(20), pytest.raises(DeviceGoneError, match="unplugged"):
        device.run(["sleep", "60"], deadline_s=300)
    timer.join()


def test_a_device_that_was_restarted_meanwhile_is_gone_until_it_is_connected_to_anew(
    device: Device, server: AdbServer, victim: dict[str, Any]
) -> None:
    """Whatever was deployed or measured before belongs to another boot."""
    assert device.run(["true"], deadline_s=10).returncode == 0
    server.adb("disconnect")
    server.attach(victim["spec"])
    with no_hang(20), pytest.raises(DeviceGoneError, match="restarted"):
        device.run(["true"], deadline_s=300)
    with connect("adb") as again:
        assert again.run(["true"], deadline_s=10).returncode == 0


def test_a_command_that_the_server_does_not_take_is_refused(device: Device) -> None:
    with pytest.raises(DeviceError, match="ADB takes no more than 65522"):
        device.run(["echo", "x" * 70_000], deadline_s=10)
