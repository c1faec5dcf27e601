"""Devices that are none, for tests of what is done with several: each follows a script.

As a program, it measures those that its arguments name, such as ``one=hangs``, until a signal.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.errors import DeviceError, IntegrityError
from pipeline.core.progress import LineRows, Progress
from pipeline.device.base import DeviceProperties
from pipeline.device.identity import Identity
from pipeline.report.devices import Measured
from pipeline.workflows.device_process import Finished, Introduction
from pipeline.workflows.named_devices import NamedDevice, folder_name
from pipeline.workflows.run_devices import run_devices
from tests.report.builder import DEVICE, measured

#: Longer than any test.
FOREVER_S = 600.0


@dataclass(frozen=True)
class FakeWork:
    """What a device's process does; it leaves a line in ``log`` for each step.

    Attributes:
        name: of the device.
        log: a file, which all devices of a test share.
        kernel: of its identity; by default its own.
        place: of its identity; by default its own.
        abi: that it runs.
        fault: ``unreachable``, ``fails``, ``dies``, ``breaks``, ``wrong``, ``hangs`` or
            ``stubborn``, which hangs also when it is to end.
    """

    name: str
    log: Path
    kernel: str = ""
    place: str = ""
    abi: str = "x86_64"
    fault: str = ""

    def introduce(self) -> Introduction:
        if self.fault == "unreachable":
            raise DeviceError(f"nothing listens at {self.name}", "plug it in")
        properties = DeviceProperties.model_validate({**DEVICE, "abi": self.abi})
        identity = Identity(self.kernel or f"kernel of {self.name}", self.place or self.name)
        return Introduction(properties, identity)

    def measure(self, harness: Path, progress: Progress) -> Finished:
        self.note(f"begins with {harness}")
        try:
            with progress.task("starts", total=2) as task:
                progress.say("halfway")
                task.advance(1, "round 1/2")
                self._follow_script()
        except KeyboardInterrupt:
            self.note("is cleaned up")
            if self.fault == "stubborn":
                time.sleep(FOREVER_S)
            raise
        self.note("ends")
        found = Measured.of(measured(900, 900), folder_name(self.name), "0" * 64)
        return Finished(
            found, IntegrityError("wrong results", "") if self.fault == "wrong" else None
        )

    def note(self, words: str) -> None:
        with self.log.open("a") as log:
            log.write(f"{self.name} {words}\n")
        sys.stderr.write(f"{self.name} {words}\n")  # in one piece, whatever others write
        sys.stderr.flush()

    def _follow_script(self) -> None:
        if self.fault == "fails":
            raise DeviceError(f"{self.name} went away", "plug it in again")
        if self.fault == "breaks":
            raise ZeroDivisionError("a fault of the pipeline")
        if self.fault == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.fault in ("hangs", "stubborn"):
            time.sleep(FOREVER_S)


def lines_of(log: Path) -> Mapping[str, list[str]]:
    """What each device noted, in order."""
    found: dict[str, list[str]] = {}
    for line in log.read_text().splitlines() if log.exists() else []:
        name, _, words = line.partition(" ")
        found.setdefault(name, []).append(words)
    return found


def main() -> None:
    faults = dict(word.split("=") for word in sys.argv[1:])
    devices = [NamedDevice(name, name) for name in faults]
    log = Path("log")
    run_devices(
        devices,
        lambda named: FakeWork(named.spec, log, fault=faults[named.spec]),
        lambda properties, progress: Path("harness"),
        LineRows(),
    )


if __name__ == "__main__":
    main()
