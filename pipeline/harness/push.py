"""Pushes the files of a deployment that a device lacks: what is right already stays."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath

from pipeline.core.atomic_files import sha256_of
from pipeline.core.errors import DeviceError, IntegrityError
from pipeline.core.formatting import size
from pipeline.core.progress import Progress, Task
from pipeline.device.base import Device, TransferError
from pipeline.device.digest import device_sha256
from pipeline.device.files import file_size
from pipeline.device.space import free_bytes
from pipeline.device.tree import not_executable, remove
from pipeline.harness.placement import WantedFiles
from pipeline.toolchain.package import PackageFile

#: What a file takes beyond its bytes: its last block, and its entry.
OVERHEAD_BYTES = 8192
#: Seconds from which a rate is told.
RATE_WINDOW_S = 5.0


def push_missing(device: Device, wanted: WantedFiles, progress: Progress) -> tuple[int, int]:
    """Pushes what is not there yet, or not as it should be; says how many files and bytes.

    Raises:
        DeviceError: the device has not the room, or does not run programs there; before anything
            is pushed.
        TransferError, DeviceGoneError, DeviceTimeoutError: as for `Device.push`.
        IntegrityError: a file changed on this machine's disk while it was being pushed.
    """
    programs = [path for path, file in wanted.items() if file.executable]
    there, idle = device_sha256(device, wanted), not_executable(device, programs)
    missing = {
        path: file
        for path, file in wanted.items()
        if there.get(path) != file.sha256 or path in idle
    }
    if not missing:
        return 0, 0
    # Their room is needed for what takes their place.
    remove(device, [path for path in missing if path in there])
    total = _require_room(device, missing)
    with progress.task("push", total=total) as task:
        meter = TransferMeter(task, total)
        for path, file in missing.items():
            meter.begin(path.name)
            _push(device, path, file, meter)
    if idle and (refused := not_executable(device, programs)):
        raise DeviceError(
            f"{min(refused)} cannot be executed on {device.spec}, whatever its mode is",
            f"its storage is mounted noexec (`mount` there says so): remount that of "
            f"{device.workdir} with exec" + _other_folder(device),
        )
    return len(missing), total


class TransferMeter:
    """Tells a task how much of several files has arrived, and how fast.

    Args:
        task: counts bytes.
        total: of all files.
        clock: seconds that pass.
    """

    def __init__(self, task: Task, total: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._task = task
        self._total = total
        self._clock = clock
        self._name = ""
        self._before = self._done = 0
        self._marks = deque([(clock(), 0)])

    def begin(self, name: str) -> None:
        """Goes on to the next file, whose `report` counts from 0 again."""
        self._name, self._before = name, self._done
        self._task.advance(0, f"{name}, {size(self._total)} in all{self._rate()}")

    def report(self, done: int, of: int) -> None:
        """Takes what `Device.push` tells of one file."""
        now, advanced = self._clock(), self._before + done - self._done
        self._done += advanced
        self._marks.append((now, self._done))
        while len(self._marks) > 2 and self._marks[1][0] < now - RATE_WINDOW_S:
            self._marks.popleft()
        self._task.advance(advanced, f"{self._name}, {size(self._total)} in all{self._rate()}")

    def _rate(self) -> str:
        (begin, before), (end, after) = self._marks[0], self._marks[-1]
        if end - begin < 1.0 or after == before:
            return ""
        return f", {size((after - before) / (end - begin))}/s"


def _push(device: Device, path: PurePosixPath, file: PackageFile, meter: TransferMeter) -> None:
    try:
        device.push(
            file.source,
            path,
            executable=file.executable,
            sha256=file.sha256,
            progress=meter.report,
        )
    except TransferError as error:
        _require_unchanged_here(file, error)
        raise


def _require_room(device: Device, missing: Mapping[PurePosixPath, PackageFile]) -> int:
    """The bytes that are to be pushed, where the device has the room for them, or does not say."""
    sizes = [file_size(file.source) for file in missing.values()]
    needed = sum(sizes) + OVERHEAD_BYTES * len(sizes)
    free = free_bytes(device, device.workdir)
    if free is not None and free < needed:
        raise DeviceError(
            f"{device.spec} has {size(free)} free in {device.workdir}, and {size(needed)} are "
            "needed there",
            f"make room for {size(needed - free)} there" + _other_folder(device),
        )
    return sum(sizes)


def _require_unchanged_here(file: PackageFile, error: TransferError) -> None:
    """Tells a file that changed on this machine from one that the device did not get whole."""
    if file.source.exists() and sha256_of(file.source) != file.sha256:
        raise IntegrityError(
            f"{file.source} changed since it was checked",
            "build the bundle (of a harness: the harness) again, and measure when that is done",
        ) from error


def _other_folder(device: Device) -> str:
    local = device.spec.startswith("local")
    option = "--device local:FOLDER" if local else "--device-folder FOLDER"
    return f", or measure in a folder elsewhere, with {option}"
