"""Several devices at once: who is met, who waits, who is measured, and what becomes of each."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import wait
from pathlib import Path

from pipeline.core.errors import PipelineError, UsageError
from pipeline.core.progress import Progress, Row, Rows
from pipeline.device.base import DeviceProperties
from pipeline.device.identity import Identity
from pipeline.report.devices import DeviceResult, Failure, Measured
from pipeline.workflows.device_process import DeviceProcess, DeviceWork, Finished, Introduction
from pipeline.workflows.named_devices import NamedDevice
from pipeline.workflows.turns import next_turns, share_processor

#: Seconds that all processes have to end what they do on their devices, when they are told to.
_ENDING_S = 30.0

#: Makes the work of a device's process.
WorkFor = Callable[[NamedDevice], DeviceWork]
#: Gives the harness package for a device, which is built where it has to be.
HarnessFor = Callable[[DeviceProperties, Progress], Path]


def run_devices(
    devices: Sequence[NamedDevice], work_for: WorkFor, harness_for: HarnessFor, rows: Rows
) -> list[DeviceResult]:
    """Meets every device, builds for them, and measures each when it is its turn.

    What goes wrong with one device is its result. An interrupt ends all processes, each of which
    ends what it does on its device.

    Args:
        devices: each in a process of its own.
        work_for: what is done in it.
        harness_for: called in this process, once all devices are met.
        rows: a row for each device.
    """
    run = [_Device(named, rows.row(named.spec)) for named in devices]
    try:
        for device in run:
            if device.named.problem is not None:
                device.fail(device.named.problem)
            else:
                device.process = DeviceProcess(work_for(device.named), device.row)
        while any(device.going and device.introduction is None for device in run):
            _receive(run)
        _refuse_other_names(run)
        for device in _going(run):
            device.find_harness(harness_for)
        _name_neighbors(_going(run))
        _measure(run)
    finally:
        _end([device.process for device in run if device.process is not None])
    return [device.result() for device in run]


class _Device:
    """A device on its way through a run."""

    def __init__(self, named: NamedDevice, row: Row) -> None:
        self.named = named
        self.row = row
        self.process: DeviceProcess | None = None
        self.introduction: Introduction | None = None
        self.neighbors: tuple[str, ...] = ()
        self._harness: Path | None = None
        self._measured: Measured | None = None
        self._failure: Failure | None = None
        self._skipped = False

    @property
    def going(self) -> bool:
        """Whether its process still has something to do."""
        return self.process is not None and not (self._measured or self._failure)

    @property
    def identity(self) -> Identity:
        assert self.introduction is not None
        return self.introduction.identity

    def receive(self) -> None:
        """Takes in what its process says."""
        assert self.process is not None
        message = self.process.receive()
        if isinstance(message, Introduction):
            self.introduction = message
        elif isinstance(message, Finished):
            self._measured = message.measured
            if message.wrong is not None:
                self.fail(message.wrong)
            else:
                self._stop("measured")
        elif message is not None:
            self.fail(message)

    def find_harness(self, harness_for: HarnessFor) -> None:
        """Has the harness built for what it says of itself."""
        assert self.introduction is not None
        try:
            self._harness = harness_for(self.introduction.properties, self.row)
        except PipelineError as error:
            self.fail(error)

    def measure(self) -> None:
        """Gives it its turn."""
        assert self.process is not None
        assert self._harness is not None
        self.process.measure(self._harness)

    def fail(self, error: PipelineError) -> None:
        """Ends it, and says why."""
        self._failure = Failure.of(error)
        self.row.say(error.what)  # the remedy is told when all are done
        self._stop("failed")

    def leave_to(self, other: _Device) -> None:
        """Ends it, as it is measured under another name."""
        what = f"{self.named.spec} is the same device as {other.named.spec}"
        if self.named.listed:
            self._skipped = True
            self._failure = Failure(status=0, what=f"{what}, and is measured as that", remedy="")
            self.row.say(self._failure.what)
            self._stop("skipped")
        else:
            self.fail(UsageError(what, "name it once"))

    def result(self) -> DeviceResult:
        outcome = "skipped" if self._skipped else "measured" if self._measured else "failed"
        return DeviceResult.model_validate(
            {
                "name": self.named.spec,
                "outcome": outcome,
                "shares_processor_with": self.neighbors,
                "measured": self._measured,
                "failure": self._failure,
            }
        )

    def _stop(self, word: str) -> None:
        if self.process is not None:
            self.process.stop()
        self.row.end(word)


def _going(run: Sequence[_Device]) -> list[_Device]:
    return [device for device in run if device.going]


def _receive(run: Sequence[_Device]) -> None:
    """Waits until any process says something, and takes that in."""
    going = {device.process.connection: device for device in run if device.going and device.process}
    ready = wait([*going])
    for connection, device in going.items():
        if connection in ready:
            device.receive()


def _refuse_other_names(run: Sequence[_Device]) -> None:
    """Leaves one name to each device: rather a given one than one of ``all``, or an address."""
    first: dict[tuple[str, str], _Device] = {}
    for device in sorted(_going(run), key=_rank):
        if device.identity.known:
            key = (device.identity.kernel, device.identity.place)
            if (other := first.setdefault(key, device)) is not device:
                device.leave_to(other)


def _rank(device: _Device) -> tuple[bool, bool]:
    return device.named.listed, re.search(r":\d+$", device.named.spec) is not None


def _name_neighbors(devices: Sequence[_Device]) -> None:
    for device in devices:
        device.neighbors = tuple(
            other.named.spec
            for other in devices
            if other is not device and share_processor(device.identity, other.identity)
        )


def _measure(run: Sequence[_Device]) -> None:
    """Gives every device its turn, and waits for the end of all."""
    waiting, running = _going(run), list[_Device]()
    noted = False
    while waiting or running:
        turns = next_turns(*([each.identity for each in some] for some in (waiting, running)))
        for device in [waiting[index] for index in turns]:
            waiting.remove(device)
            running.append(device)
            device.measure()
        if not noted:
            noted = True
            for device in waiting:
                device.row.say("waits for its turn: one at a time is measured on its processor")
        _receive(run)
        waiting, running = ([each for each in some if each.going] for some in (waiting, running))


def _end(processes: Sequence[DeviceProcess]) -> None:
    """Ends all processes; at a second interrupt, or when they take too long, at once."""
    try:
        for process in processes:
            process.stop()
        deadline = time.monotonic() + _ENDING_S
        for process in processes:
            process.join(deadline)
    except BaseException:
        for process in processes:
            process.kill()
        raise
