"""From a bundle and several devices to reports side by side."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from pipeline.core.atomic_files import sha256_of
from pipeline.core.errors import IntegrityError, PipelineError
from pipeline.core.locks import writing_folder
from pipeline.core.progress import Progress, Rows
from pipeline.core.release import release
from pipeline.device.base import DeviceProperties
from pipeline.device.connect import connect
from pipeline.device.identity import identify
from pipeline.report.assemble import bundle_facts
from pipeline.report.devices import DevicesReport, Measured, status_of
from pipeline.report.integrity import require_right_results
from pipeline.toolchain.package import Package
from pipeline.toolchain.target import Target, target_for
from pipeline.workflows.device_files import forget_devices
from pipeline.workflows.device_process import Finished, Introduction
from pipeline.workflows.measure_device import (
    ProfileOptions,
    measure,
    named_libraries,
    open_payload,
    package_for,
    write_report,
)
from pipeline.workflows.named_devices import NamedDevice
from pipeline.workflows.run_devices import run_devices


@dataclass(frozen=True, slots=True)
class MeasureDevice:
    """The work of one device's process; see `pipeline.workflows.device_process.DeviceWork`.

    Attributes:
        bundle: its folder.
        options: the device among them.
        folder: where the report is written, in that of all devices.
    """

    bundle: Path
    options: ProfileOptions
    folder: Path

    def introduce(self) -> Introduction:
        """Asks the device who it is, and leaves it again. Raises as `connect` does."""
        options = self.options
        with connect(options.device, folder=options.device_folder) as device:
            properties = device.properties()
            return Introduction(properties, identify(device, properties))

    def measure(self, harness: Path, progress: Progress) -> Finished:
        """Measures it and writes its report. Raises as `measure` does."""
        with writing_folder(self.folder, "name another with --out"):
            report = measure(self.bundle, replace(self.options, harness=harness), progress)
            # What an earlier run wrote about all devices is of other reports from here on.
            forget_devices(self.folder.parent)
            write_report(report, self.folder)
            sha256 = sha256_of(self.folder / "report.json")
        measured = Measured.of(report, self.folder.name, sha256)
        try:
            require_right_results(report, self.folder)
        except IntegrityError as error:
            return Finished(measured, error)
        return Finished(measured)


class Harnesses:
    """A harness package for each ABI, built once; where that fails, it is not tried again."""

    def __init__(self, options: ProfileOptions) -> None:
        self._options = options
        self._made: dict[Target, Path | PipelineError] = {}

    def __call__(self, properties: DeviceProperties, progress: Progress) -> Path:
        if self._options.harness is not None:
            return self._options.harness
        target = target_for(properties.abi, properties.system)
        if target not in self._made:
            try:
                self._made[target] = package_for(properties, self._options, progress).root
            except PipelineError as error:
                self._made[target] = error
        made = self._made[target]
        if isinstance(made, PipelineError):
            raise made
        return made


def measure_devices(
    folder: Path,
    options: ProfileOptions,
    devices: Sequence[NamedDevice],
    out: Path,
    rows: Rows,
) -> DevicesReport:
    """Measures a bundle on each of several devices, and writes a report for each.

    One that fails is told in the result; the others go on.

    Args:
        folder: the bundle.
        options: for every device; which one it is comes from `devices`.
        devices: which ones; see `pipeline.workflows.turns` for which go at the same time.
        out: each device's report is written into a folder of its own there.
        rows: told how far each device is.

    Raises:
        UsageError, IntegrityError: the bundle, its control arms or the named harness are wrong for
            all devices alike; none is touched.
    """
    payload = open_payload(folder, options.control)
    manifest = payload.bundle.manifest
    libraries = named_libraries([payload.bundle], options.library)
    if options.harness is not None:
        package = Package(options.harness).with_libraries(libraries)
        package.files_for(manifest.backend.name)
    created, begin = datetime.now(UTC), time.monotonic()

    def work_for(named: NamedDevice) -> MeasureDevice:
        return MeasureDevice(folder, replace(options, device=named.spec), out / named.folder)

    results = run_devices(devices, work_for, Harnesses(options), rows)
    return DevicesReport(
        created=created.isoformat(timespec="seconds"),
        tool=release(),
        status=int(status_of(results)),
        bundle=bundle_facts(manifest, payload.controls),
        options=options.amount(),
        seconds=round(time.monotonic() - begin, 3),
        devices=tuple(results),
        output=manifest.model.output,
        warnings=manifest.warnings,
    )
