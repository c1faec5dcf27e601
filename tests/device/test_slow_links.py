"""Bad connections: slow, far away, losing packets, with small packets; slow is not lost."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

from pipeline.device.base import Device
from pipeline.device.connect import connect
from pipeline.device.digest import device_sha256
from tests.fixtures import ROOT
from tests.no_hang import no_hang

from .adb_server import SYSTEM, adb_program, adb_server
from .slow_link import Quality, slow_link

#: As the issue names them; the second one's losses come with TCP's shortest pause.
SLOW = Quality(bytes_s=50_000)
FAR = Quality(bytes_s=2_000_000, delay_s=0.1, loss=0.01)
#: What every answer has to come within; a whole transfer takes longer.
TIMEOUT_S = 1.5
#: In pieces, with pauses: as one message, an answer would have to wait for all of it.
PIECES, PIECE = 7, 12_000
WRITE = f"for each in $(seq {PIECES}); do head -c {PIECE} /dev/zero; sleep 0.2; done"

TARGET = PurePosixPath("/data/local/tmp/pwl-slow")


@pytest.fixture(params=[SLOW, FAR], ids=["0.05 MB/s", "100 ms, 1 % loss"])
def port(request: pytest.FixtureRequest, loopback_device: str) -> Iterator[int]:
    """Where a bad connection to the device begins."""
    with slow_link(int(loopback_device.rpartition(":")[2]), request.param) as port:
        yield port


@pytest.fixture(params=["adb", SYSTEM])
def device(
    request: pytest.FixtureRequest, port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Device]:
    spec = f"adb:127.0.0.1:{port}"
    if request.param == "adb":
        with connect(spec, timeout_s=TIMEOUT_S) as device:
            yield device
        return
    with adb_server(adb_program(SYSTEM), tmp_path) as server:
        server.attach(spec)
        monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(server.port))
        with connect(spec, timeout_s=TIMEOUT_S) as device:
            assert device.properties().extra["adb.route"] == "adb server"
            yield device


def test_a_file_takes_its_time_on_a_bad_connection(
    device: Device, loopback_device: str, tmp_path: Path
) -> None:
    data = random.Random(5).randbytes(90_000)
    (tmp_path / "source").write_bytes(data)
    told: list[int] = []
    with no_hang(60):
        device.push(tmp_path / "source", TARGET, progress=lambda done, of: told.append(done))
        assert device_sha256(device, [TARGET]) == {TARGET: hashlib.sha256(data).hexdigest()}
    assert told[-1] == len(data)


def test_output_takes_its_time_on_a_bad_connection(device: Device) -> None:
    with no_hang(60):
        done = device.run(["sh", "-c", WRITE], deadline_s=50)
    assert done.stdout == bytes(PIECES * PIECE)


#: Run where the only network is a loopback interface with the packets of Wi-Fi: there, a socket
#: takes less at once than it is given.
SMALL_PACKETS = """
import json, os, random, shutil, subprocess, sys
from pathlib import Path, PurePosixPath
from pipeline.device.connect import connect

program, folder = sys.argv[1], Path(sys.argv[2])
data = random.Random(6).randbytes(5_000_000)
(folder / "source").write_bytes(data)
words = [program, "start", "--port", "0", "--json"]
record = json.loads(subprocess.run(words, check=True, capture_output=True).stdout)

def whole(route):
    with connect(record["spec"], timeout_s=5.0) as device:
        assert device.properties().extra["adb.route"] == route
        device.push(folder / "source", PurePosixPath("/data/local/tmp/target"))
        back = device.run(["cat", "/data/local/tmp/target"], deadline_s=30).stdout
        assert back == device.run(["cat"], deadline_s=30, stdin=data).stdout == data
    print(route)

try:
    whole("TCP")
    if shutil.which("adb"):
        os.environ.update(ANDROID_ADB_SERVER_PORT="5037", HOME=str(folder))
        subprocess.run(["adb", "connect", record["spec"].removeprefix("adb:")], check=True)
        try:
            whole("adb server")
        finally:
            subprocess.run(["adb", "kill-server"], check=True)
finally:
    subprocess.run([program, "stop", "--port", str(record["port"])], check=True)
"""


@pytest.mark.device
def test_files_and_commands_survive_small_packets(tmp_path: Path) -> None:
    enter = ["unshare", "--net", "sh", "-c", 'ip link set lo mtu 1500 up && exec "$@"', "sh"]
    tried = subprocess.run([*enter, "true"], capture_output=True, text=True)
    if os.geteuid() != 0 or tried.returncode != 0:
        pytest.skip(f"not here: a network of its own needs root and ip ({tried.stderr.strip()})")
    program = ROOT / "scripts" / "loopback-device"
    done = subprocess.run(
        [*enter, sys.executable, "-c", SMALL_PACKETS, str(program), str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "TCP" in done.stdout
    assert ("adb server" in done.stdout) == (shutil.which("adb") is not None)


def test_a_lab_s_server_is_reached_by_its_socket(
    loopback_device: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server of another machine: its address is none of this one's own."""
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", "1")
    with (
        # Its own: the one that all tests share has devices of others, too.
        adb_server(adb_program(SYSTEM), tmp_path) as server,
        slow_link(server.port, Quality(bytes_s=1e9), host="127.0.0.2") as port,
    ):
        serial = server.attach(loopback_device)
        monkeypatch.setenv("ADB_SERVER_SOCKET", f"tcp:127.0.0.2:{port}")
        for spec in (f"adb:{serial}", "adb"):
            with connect(spec) as device:
                assert device.properties().extra["adb.route"] == "adb server"
                assert device.run(["echo", "far"], deadline_s=10).stdout == b"far\n"
