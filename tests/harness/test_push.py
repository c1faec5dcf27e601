"""Pushing what a device lacks: not without room, and told as it goes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.atomic_files import sha256_of
from pipeline.core.errors import DeviceError
from pipeline.core.progress import Silent
from pipeline.device.base import Device, TransferError
from pipeline.device.connect import connect
from pipeline.harness import push
from pipeline.harness.placement import WantedFiles
from pipeline.harness.push import TransferMeter, push_missing
from pipeline.toolchain.package import PackageFile
from tests.device.conftest import names

DISK = 4 << 20


@pytest.fixture
def device(start_loopback: Callable[..., dict[str, Any]]) -> Iterator[Device]:
    with connect(start_loopback("--disk", str(DISK))["spec"]) as device:
        yield device


def wanted(device: Device, here: Path, *sizes: int) -> WantedFiles:
    files: WantedFiles = {}
    for number, size in enumerate(sizes):
        path = here / f"file-{number}"
        path.write_bytes(bytes([number]) * size)
        digest = sha256_of(path)
        files[device.workdir / path.name] = PackageFile(path, digest, executable=False)
    return files


def test_a_device_without_the_room_is_told_before_anything_is_pushed(
    device: Device, tmp_path: Path
) -> None:
    files = wanted(device, tmp_path, 2_000_000, 3_000_000)
    with pytest.raises(DeviceError) as caught:
        push_missing(device, files, Silent())
    assert f"{device.spec} has 4.19 MB free in {device.workdir}, and 5.02 MB" in caught.value.what
    assert "make room for 822 kB" in caught.value.remedy
    assert "--device-folder FOLDER" in caught.value.remedy
    assert names(device, device.workdir) == []


def test_what_is_replaced_gives_its_room(device: Device, tmp_path: Path) -> None:
    push_missing(device, wanted(device, tmp_path, 2_500_000), Silent())
    files = wanted(device, tmp_path, 2_600_000)
    assert push_missing(device, files, Silent()) == (1, 2_600_000)
    assert names(device, device.workdir) == ["file-0"]


def test_a_disk_that_fills_up_meanwhile_leaves_no_part_and_the_next_run_goes_on(
    device: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filler = device.workdir.parent / "filler"
    device.run(["sh", "-c", f"head -c 2500000 /dev/zero >{filler}"], deadline_s=30)
    files = wanted(device, tmp_path, 1_000_000, 2_000_000)
    with monkeypatch.context() as patch:
        patch.setattr(push, "free_bytes", lambda *_: None)
        with pytest.raises(TransferError, match="No space left on device") as caught:
            push_missing(device, files, Silent())
    assert "make room" in caught.value.remedy
    assert names(device, device.workdir) == ["file-0"]
    device.run(["rm", str(filler)], deadline_s=10)
    assert push_missing(device, files, Silent()) == (1, 2_000_000)


class Reports:
    """A task that keeps what it is told."""

    def __init__(self) -> None:
        self.done = 0.0
        self.notes: list[str] = []

    def advance(self, amount: float = 1, note: str = "") -> None:
        self.done += amount
        self.notes.append(note)


def test_what_is_pushed_is_told_with_its_rate() -> None:
    now = 0.0
    task = Reports()
    meter = TransferMeter(task, 60_000_000, clock=lambda: now)
    meter.begin("teacher-1.pte")
    for now in range(1, 11):
        meter.report(500_000 * now, 20_000_000)
    assert task.notes[0] == "teacher-1.pte, 60 MB in all"
    assert task.notes[-1] == "teacher-1.pte, 60 MB in all, 500 kB/s"
    assert task.done == 5_000_000


def test_the_rate_is_that_of_the_last_seconds_and_goes_on_from_file_to_file() -> None:
    now = 0.0
    task = Reports()
    meter = TransferMeter(task, 100_000_000, clock=lambda: now)
    meter.begin("first")
    for now in range(1, 21):
        meter.report(1_000_000 * now, 20_000_000)
    meter.begin("second")
    for now in range(21, 31):
        meter.report(2_000_000 * (now - 20), 80_000_000)
    assert task.notes[-1] == "second, 100 MB in all, 2 MB/s"
    assert task.done == 40_000_000
