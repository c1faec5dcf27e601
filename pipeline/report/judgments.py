"""Several reports judged by the same gates: all have to pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.atomic_files import sha256_of
from pipeline.core.errors import ExitCode, IntegrityError, PipelineError, UsageError
from pipeline.report.baseline import mismatches
from pipeline.report.devices import DEVICES_FILE, DeviceResult, load_devices
from pipeline.report.gate_file import GateFile
from pipeline.report.gates import GateResult, exit_code, judge
from pipeline.report.report_file import load_consistent_report
from pipeline.report.schema import Report


@dataclass(frozen=True, slots=True)
class Judgment:
    """What became of one report.

    Attributes:
        name: of its file or, where it has none, of the device that should have one.
        report: it; None where there is none that could be read.
        results: of every gate.
        error: why there is no report.
    """

    name: str
    report: Report | None = None
    results: tuple[GateResult, ...] = ()
    error: PipelineError | None = None

    @property
    def code(self) -> ExitCode:
        """The exit status of judging this one alone."""
        return self.error.code if self.error is not None else exit_code(self.results)

    @property
    def title(self) -> str:
        """What it is about, for a person."""
        if self.report is None:
            return self.name
        return f"{self.report.bundle.name} on {self.report.context.device.serial}"


def judge_all(gates: GateFile, paths: Sequence[Path], baselines: Sequence[Path]) -> list[Judgment]:
    """Judges every report, also where another one cannot be read.

    Args:
        gates: the limits.
        paths: report.json files; a devices.json stands for all that it names, and a device without
            a report in it is an error.
        baselines: of earlier releases, files of the same kinds. Each report is compared with the
            one that fits it best: of its model and device, if there is one.

    Raises:
        UsageError, IntegrityError: a baseline cannot be read, or no report is named.
    """
    earlier = [load_consistent_report(path) for path in _files(baselines)]
    judgments = [_judged(gates, each, earlier) for each in _named(paths)]
    if not judgments:
        raise UsageError("no report is named", "name a report.json, or measure a device first")
    return judgments


def _judged(gates: GateFile, named: Judgment | Path, earlier: Sequence[Report]) -> Judgment:
    if isinstance(named, Judgment):
        return named
    try:
        report = load_consistent_report(named)
    except PipelineError as error:
        return Judgment(str(named), error=error)
    results = judge(gates, report, _best(report, earlier))
    return Judgment(str(named), report, tuple(results))


def _best(report: Report, earlier: Sequence[Report]) -> Report | None:
    """The baseline with the fewest mismatches; of several, that of the very device."""

    def distance(baseline: Report) -> tuple[int, bool]:
        other = baseline.context.device.serial != report.context.device.serial
        return len(mismatches(report, baseline)), other

    return min(earlier, key=distance, default=None)


def _files(paths: Sequence[Path]) -> list[Path]:
    """The reports that there are. Raises the error of one that there should be."""
    found: list[Path] = []
    for named in _named(paths):
        if isinstance(named, Path):
            found.append(named)
        elif named.error is not None:
            raise named.error
    return found


def _named(paths: Sequence[Path]) -> Iterator[Judgment | Path]:
    """The file of each report, or what is to be said where there is none."""
    for path in paths:
        if path.name != DEVICES_FILE:
            yield path
            continue
        try:
            devices = load_devices(path).devices
        except PipelineError as error:
            yield Judgment(str(path), error=error)
            continue
        for device in devices:
            if device.outcome != "skipped":
                yield _of_device(path, device)


def _of_device(path: Path, device: DeviceResult) -> Judgment | Path:
    name = f"{path}: {device.name}"
    if device.measured is None:
        assert device.failure is not None
        failure = device.failure
        error = PipelineError(device.status, f"it was not measured: {failure.what}", failure.remedy)
        return Judgment(name, error=error)
    report = path.parent / device.measured.folder / "report.json"
    try:
        if sha256_of(report) != device.measured.sha256:
            raise IntegrityError(
                f"{report} is not the report that {path} is about",
                "name the reports themselves, or measure all devices again",
            )
    except OSError as missing:
        remedy = f"keep the folders of all devices beside {path.name}"
        return Judgment(name, error=UsageError(f"{report}: {missing.strerror}", remedy))
    except IntegrityError as other:
        return Judgment(name, error=other)
    return report
