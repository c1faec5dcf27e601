"""A real adbd that dies, freezes, fills up or refuses: directly, and behind adb servers."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from pipeline.core.errors import DeviceError
from pipeline.device.adb import server_link
from pipeline.device.adb.dial import Dialer
from pipeline.device.adb.link import Buffer
from pipeline.device.adb.transport import TcpTransport
from pipeline.device.base import (
    Device,
    DeviceGoneError,
    DeviceTimeoutError,
    TransferError,
)
from pipeline.device.connect import connect
from pipeline.device.digest import device_sha256
from tests.device.adb_server import NEWER, SYSTEM, AdbServer
from tests.device.conftest import NOTICED, names
from tests.fixtures import ROOT
from tests.no_hang import no_hang

LARGE = random.Random(7).randbytes(8_000_000)

#: From a program that adbd runs: its parent is adbd itself.
KILL_ADBD = "kill -9 $PPID; sleep 60"
FREEZE_ADBD = "kill -STOP $PPID; sleep 60"


def kill(victim: dict[str, Any], name: str = "adbd_pid") -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(victim[name], signal.SIGKILL)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(LARGE)
    return path


@pytest.fixture
def victim(start_loopback: Callable[..., dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """A loopback device that may be broken."""
    record = start_loopback()
    yield record
    kill(record, "init_pid")


#: Attaches an adb server, if any, to a device that was started after it.
Attach = Callable[[str], object]


@pytest.fixture(params=["adb", SYSTEM, NEWER])
def attach(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Attach:
    """How devices are reached: at their address, or through a server that has them."""
    if request.param == "adb":
        return lambda spec: None
    server: AdbServer = request.getfixturevalue("servers")(request.param)
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(server.port))
    return server.attach


@pytest.fixture
def device(victim: dict[str, Any], attach: Attach) -> Iterator[Device]:
    attach(victim["spec"])
    with connect(victim["spec"], timeout_s=1.0) as device:
        yield device


def test_adbd_killed_during_a_command(device: Device) -> None:
    with no_hang(20), pytest.raises(DeviceGoneError, match=device.spec.removeprefix("adb:")):
        device.run(["sh", "-c", KILL_ADBD], deadline_s=300)


def test_adbd_killed_during_a_push(device: Device, victim: dict[str, Any], source: Path) -> None:
    # A server reads ahead of the device, and may have taken the whole file by then.
    with no_hang(20), pytest.raises((DeviceGoneError, TransferError)):
        device.push(
            source, PurePosixPath("/data/local/tmp/target"), progress=lambda *_: kill(victim)
        )
    left = [path.name for path in Path(victim["folder"], "tmp").iterdir()]
    assert "target" not in left


#: At its address, and through an adb server.
both_ways = pytest.mark.parametrize("spec", ["adb", SYSTEM], indirect=True)

PUSH = """
import os, signal, sys
from pathlib import Path, PurePosixPath
from pipeline.device.connect import connect
with connect(sys.argv[1]) as device:
    def die(done, of):
        os.kill(os.getpid(), signal.SIGKILL)
    device.push(Path(sys.argv[2]), PurePosixPath(sys.argv[3]), progress=die)
"""


@both_ways
def test_we_are_killed_during_a_push(spec: str, shared: Device, source: Path) -> None:
    """A lock would not outlive it, either: see tests/device/test_lock.py."""
    folder = shared.workdir / "killed-push"
    words = [sys.executable, "-c", PUSH, spec, str(source), str(folder / "target")]
    assert subprocess.run(words, cwd=ROOT).returncode == -signal.SIGKILL
    with no_hang(20):
        while names(shared, folder):
            pass  # adbd removes the part when it sees that the connection has ended
    shared.push(source, folder / "target")
    assert names(shared, folder) == ["target"]
    shared.run(["rm", "-rf", str(folder)], deadline_s=10)


RUN = """
import sys
from pipeline.device.connect import connect
with connect(sys.argv[1]) as device:
    device.run(["sh", "-c", 'echo $$ >"$1"; exec sleep 300', "sh", sys.argv[2]], deadline_s=400)
"""


@both_ways
def test_we_are_killed_during_a_command(spec: str, shared: Device) -> None:
    """What we left running would disturb the next measurement."""
    file = str(shared.workdir / "killed-run")
    shared.run(["rm", "-f", file], deadline_s=10)
    with subprocess.Popen([sys.executable, "-c", RUN, spec, file], cwd=ROOT) as process:
        with no_hang(30):
            while not (number := shared.run(["cat", file], deadline_s=10).stdout.strip()):
                pass
        process.kill()
    with no_hang(20):
        while shared.run(["kill", "-0", number.decode()], deadline_s=10).returncode == 0:
            pass


def test_adbd_killed_between_two_commands(device: Device, victim: dict[str, Any]) -> None:
    device.run(["true"], deadline_s=10)
    kill(victim)
    with no_hang(20), pytest.raises(DeviceGoneError):
        device.run(["true"], deadline_s=300)


@pytest.mark.parametrize("attach", ["adb"], indirect=True)
def test_a_device_that_was_restarted_meanwhile_is_gone_until_it_is_connected_to_anew(
    device: Device, victim: dict[str, Any], start_loopback: Callable[..., dict[str, Any]]
) -> None:
    """An adb server may connect to it again by itself: see tests/test_device_faults.py."""
    with device.lock() as lock:
        kill(victim, "init_pid")
        restarted = start_loopback("--port", str(victim["port"]))
        try:
            with no_hang(20), pytest.raises(DeviceGoneError):
                device.run(["true"], deadline_s=300)
            with no_hang(20), pytest.raises(DeviceError, match=r"lock .* was lost"):
                lock.require()
            with connect(victim["spec"]) as again, again.lock():
                assert again.run(["true"], deadline_s=10).returncode == 0
        finally:
            kill(restarted, "init_pid")


def test_adbd_frozen_during_a_command(device: Device) -> None:
    hung = pytest.raises(DeviceTimeoutError, match="no longer answers")
    with no_hang(NOTICED), hung as caught:
        device.run(["sh", "-c", FREEZE_ADBD], deadline_s=0.5)
    assert "restart it" in caught.value.remedy
    with no_hang(NOTICED), pytest.raises(DeviceGoneError):
        device.run(["true"], deadline_s=300)


def test_a_frozen_adbd_is_noticed_long_before_the_deadline(device: Device) -> None:
    with no_hang(NOTICED), pytest.raises(DeviceGoneError, match="no longer answers"):
        device.run(["sh", "-c", FREEZE_ADBD], deadline_s=300)
    with no_hang(NOTICED), pytest.raises(DeviceGoneError):
        device.run(["true"], deadline_s=300)


def test_a_device_that_is_only_silent_is_left_alone(device: Device) -> None:
    """Three times the silence after which it is asked."""
    done = device.run(["sh", "-c", "sleep 1.3; echo done"], deadline_s=300)
    assert done.stdout == b"done\n"


def test_adbd_frozen_during_a_push(
    device: Device, victim: dict[str, Any], source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What a server may still have of the file is reckoned to go at this rate: half a minute, which
    # test_silence.py reckons, is too long for here.
    monkeypatch.setattr(server_link, "SLOWEST_LINK_BYTES_S", 16 << 20)

    def freeze(done: int, total: int) -> None:
        os.kill(victim["adbd_pid"], signal.SIGSTOP)

    # And what was sent is removed, or would be: that waits for an answer, too.
    with no_hang(2 * NOTICED), pytest.raises((DeviceTimeoutError, DeviceGoneError)):
        device.push(source, PurePosixPath("/data/local/tmp/target"), progress=freeze)


def test_adbd_frozen_before_connecting(victim: dict[str, Any]) -> None:
    os.kill(victim["adbd_pid"], signal.SIGSTOP)
    with (
        no_hang(NOTICED),
        pytest.raises(DeviceTimeoutError, match="does not answer as an ADB device"),
    ):
        connect(victim["spec"], timeout_s=0.5)


def test_a_full_disk_is_reported_and_no_part_is_left(
    start_loopback: Callable[..., dict[str, Any]], attach: Attach, source: Path
) -> None:
    folder = PurePosixPath("/data/local/tmp")
    spec = start_loopback("--disk", "3000000")["spec"]
    attach(spec)
    with connect(spec) as device:
        with no_hang(20), pytest.raises(TransferError, match="No space left on device"):
            device.push(source, folder / "target")
        assert names(device, folder) == []
        source.write_bytes(LARGE[:2_000_000])
        device.push(source, folder / "target")
        assert names(device, folder) == ["target"]


def test_a_cancelled_push_gives_its_space_back(
    start_loopback: Callable[..., dict[str, Any]], attach: Attach, source: Path
) -> None:
    def cancel(done: int, total: int) -> None:
        if done > total / 2:
            raise KeyboardInterrupt

    spec = start_loopback("--disk", "10000000")["spec"]
    attach(spec)
    with connect(spec) as device:
        for _ in range(3):
            with pytest.raises(KeyboardInterrupt):
                device.push(source, PurePosixPath("/data/local/tmp/target"), progress=cancel)
        device.push(source, PurePosixPath("/data/local/tmp/target"))


@both_ways
def test_a_refused_service_is_seen_at_once(spec: str) -> None:
    _, host, port = spec.split(":")
    dialer = Dialer(timeout_s=300, consent_s=1, keys=())
    link = dialer.to_address(f"{host}:{port}", host, int(port))()
    try:
        with no_hang(20), pytest.raises(DeviceError, match="refuses the service root"):
            link.open(b"root:", time.monotonic() + 300)
    finally:
        link.close()


@pytest.fixture
def shared(loopback_device: str) -> Iterator[Device]:
    with connect(loopback_device) as device:
        yield device


def interrupt_in_the_middle_of_a_message(monkeypatch: pytest.MonkeyPatch, after_bytes: int) -> None:
    """Ctrl-C while half a message is sent, once this many bytes have gone out."""
    write = TcpTransport.write
    sent = 0

    def interrupted_write(self: TcpTransport, *buffers: Buffer) -> None:
        nonlocal sent
        data = b"".join(buffers)
        sent += len(data)
        if sent - len(data) <= after_bytes < sent:
            write(self, data[: len(data) // 2])
            raise KeyboardInterrupt
        write(self, data)

    monkeypatch.setattr(TcpTransport, "write", interrupted_write)


#: Through a server there is no message to be interrupted in: every stream has a connection.
def test_an_interrupt_in_the_middle_of_a_push_message_leaves_nothing(
    shared: Device, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shared.workdir / "interrupted"
    assert shared.run(["mkdir", str(folder)], deadline_s=10).returncode == 0
    interrupt_in_the_middle_of_a_message(monkeypatch, after_bytes=4_000_000)
    with no_hang(20), pytest.raises(KeyboardInterrupt):
        shared.push(source, folder / "target")
    # adbd removes the file itself when it sees that the old connection has ended.
    with no_hang(20):
        while names(shared, folder):
            pass
    assert shared.run(["rmdir", str(folder)], deadline_s=10).returncode == 0


def test_an_interrupt_in_the_middle_of_a_command_kills_it(
    shared: Device, loopback_device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid_file = shared.workdir / "interrupted-pid"
    interrupt_in_the_middle_of_a_message(monkeypatch, after_bytes=4_000_000)
    script = f"trap '' HUP; echo $$ >{pid_file}; cat >/dev/null; sleep 60"
    with no_hang(20), pytest.raises(KeyboardInterrupt):
        shared.run(["sh", "-c", script], deadline_s=300, stdin=LARGE)
    pid = shared.run(["cat", str(pid_file)], deadline_s=10).stdout.decode().strip()
    with no_hang(20):
        while shared.run(["kill", "-0", pid], deadline_s=10).returncode == 0:
            pass


@both_ways
def test_ctrl_c_while_waiting_kills_the_command(spec: str) -> None:
    with connect(spec) as device:
        ctrl_c_while_waiting(device)


def ctrl_c_while_waiting(shared: Device) -> None:
    pid_file = shared.workdir / "ctrl-c-pid"
    done = threading.Event()
    main_thread = threading.get_ident()

    def interrupt_when_it_runs(spec: str) -> None:
        with connect(spec) as watcher:
            while watcher.run(["test", "-s", str(pid_file)], deadline_s=10).returncode != 0:
                if done.is_set():
                    return
        signal.pthread_kill(main_thread, signal.SIGINT)

    shared.run(["rm", "-f", str(pid_file)], deadline_s=10)
    # It reads before it tells that it runs: by then this side knows its process group.
    script = f"trap '' HUP; cat >/dev/null; echo $$ >{pid_file}; sleep 60"
    watcher = threading.Thread(target=interrupt_when_it_runs, args=(shared.spec,))
    watcher.start()
    try:
        with no_hang(20), pytest.raises(KeyboardInterrupt):
            shared.run(["sh", "-c", script], deadline_s=300, stdin=LARGE)
    finally:
        done.set()
        watcher.join()
    pid = shared.run(["cat", str(pid_file)], deadline_s=10).stdout.decode().strip()
    with no_hang(20):
        while shared.run(["kill", "-0", pid], deadline_s=10).returncode == 0:
            pass


@both_ways
def test_eight_connections_work_side_by_side(spec: str, tmp_path: Path) -> None:
    together = threading.Barrier(8)

    def work(number: int) -> bool:
        data = random.Random(number).randbytes(3_000_000)
        here = tmp_path / str(number)
        here.write_bytes(data)
        with connect(spec) as device:
            there = device.workdir / f"parallel-{number}"
            together.wait()
            device.push(here, there)
            done = device.run(["cat"], deadline_s=60, stdin=data)
            pushed = device.run(["cat", str(there)], deadline_s=60).stdout
            known = device_sha256(device, [there])
            device.run(["rm", str(there)], deadline_s=10)
        return done.stdout == data == pushed and len(known) == 1

    with no_hang(60), ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(8)))


def test_a_device_behind_a_full_backlog_of_silence_is_named() -> None:
    """A listener that nobody accepts from: the connection stands, and nothing ever comes."""
    with socket.create_server(("127.0.0.1", 0)) as listener, no_hang(20):
        spec = f"adb:127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(DeviceTimeoutError, match="does not answer as an ADB device"):
            connect(spec, timeout_s=0.5)
