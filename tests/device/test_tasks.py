"""A device that is lost or late: the message begins with what was being done, and on which one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePosixPath

import pytest

from pipeline.core.errors import DeviceError
from pipeline.device.adb.device import AdbDevice
from pipeline.device.adb.link import RECONNECT, Buffer, Link, Stream
from pipeline.device.base import DeviceGoneError, DeviceProperties, DeviceTimeoutError
from pipeline.device.identity import identify
from pipeline.device.state import read_state

from .test_hostile_peers import frame

SPEC = "adb:phone"
#: A shell's: its process group, and that it has ended with 0.
ENDED = frame(1, b"77\n") + frame(3, b"\0")
TAKEN = b"OKAY" + bytes(4)
PHONE = DeviceProperties(
    kind="adb",
    serial="phone",
    model="Phone",
    abi="arm64-v8a",
    system="Android 14",
    sdk=34,
    cores=8,
    memory_bytes=None,
)


class Answer(Stream):
    """A service that says one thing."""

    room = 1 << 20
    delay_s = 0.0

    def __init__(self, data: bytes) -> None:
        self.ended = False
        self.in_flight = 0
        self._data = data

    def write(self, *buffers: Buffer) -> None:
        pass

    def read(self, deadline: float) -> bytes:
        data, self._data = self._data, b""
        return data

    def close(self) -> None:
        self.ended = True


class FailingLink(Link):
    """A device that answers some commands, and every file; then each one fails."""

    interrupted = False

    def __init__(self, answers: int, error: DeviceError) -> None:
        self.serial, self.route, self.timeout_s, self.command_limit = "phone", "TCP", 10.0, 1 << 17
        self._answers = answers
        self._error = error

    def open(self, service: bytes, deadline: float) -> Stream:
        if service == b"sync:":
            return Answer(TAKEN)
        self._answers -= 1
        if self._answers < 0:
            raise self._error
        return Answer(ENDED)

    def close(self) -> None:
        pass


#: What is done; how many commands are answered before the one that fails; what it is called.
TASKS: dict[str, tuple[Callable[[AdbDevice], object], int, str]] = {
    "folder": (lambda device: device.workdir, 0, f"trying /data/local/tmp/pwl on {SPEC}"),
    "properties": (lambda device: device.properties(), 0, f"asking {SPEC} what it is"),
    "state": (read_state, 1, f"reading the state of {SPEC}"),
    "identity": (lambda device: identify(device, PHONE), 1, f"asking {SPEC} which device it is"),
    "lock": (lambda device: device.lock(), 1, rf"locking /data/local/tmp/pwl/\.lock on {SPEC}"),
}


@pytest.mark.parametrize(("task", "answers", "name"), TASKS.values(), ids=TASKS.keys())
@pytest.mark.parametrize(
    "error",
    [
        DeviceGoneError("the connection to phone is lost: unplugged", RECONNECT),
        DeviceTimeoutError("phone did not answer in time", RECONNECT),
    ],
    ids=["lost", "late"],
)
def test_the_message_begins_with_the_task_and_the_device(
    task: Callable[[AdbDevice], object], answers: int, name: str, error: DeviceError
) -> None:
    link = FailingLink(answers, error)
    device = AdbDevice(SPEC, lambda: link)
    with pytest.raises(type(error), match=f"^{name}: "):
        task(device)


@pytest.mark.parametrize(
    ("answers", "name"), [(0, "making /data/folder"), (1, "the check of /data/folder/target")]
)
def test_what_a_push_does_beside_sending_has_a_name(
    answers: int, name: str, tmp_path: Path
) -> None:
    (tmp_path / "source").write_bytes(b"x")
    late = DeviceTimeoutError("phone did not answer in time", RECONNECT)
    device = AdbDevice(SPEC, lambda: FailingLink(answers, late))
    with pytest.raises(DeviceTimeoutError, match=f"^{name} did not end on {SPEC} within "):
        device.push(tmp_path / "source", PurePosixPath("/data/folder/target"))
