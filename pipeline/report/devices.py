"""devices.json: what several devices made of one bundle, side by side.

The JSON Schema generated from these types is published as docs/devices.schema.json. Every device
that was measured has a whole report of its own beside it; its samples are kept there.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pipeline.bundle.output import Output, metric_of_output
from pipeline.core.errors import ExitCode, PipelineError, worst_code
from pipeline.core.toml_file import Section, TextPattern
from pipeline.device.base import DeviceProperties
from pipeline.evaluation.model_warnings import ModelWarning
from pipeline.harness.campaign import CampaignOptions
from pipeline.report.report_file import read_document
from pipeline.report.schema import BundleFacts, Ratio, Report, Validity
from pipeline.settings import TaskMetric

SCHEMA_VERSION: Literal[1] = 1
DEVICES_FILE = "devices.json"

Outcome = Literal["measured", "failed", "skipped"]
FolderName = Annotated[
    str, TextPattern(r"[A-Za-z0-9_][A-Za-z0-9._-]*", "the name of a folder beside devices.json")
]


class MetricSummary(Section):
    """A metric without its samples.

    Attributes:
        unit: as in the report.
        median: of the samples.
        low: lower end of the median's 95 % interval.
        high: upper end.
        rounds: how many samples there are.
    """

    unit: str
    median: float
    low: float
    high: float
    rounds: int


class StageSummary(Section):
    """A stage, and how right it is on the device, by `DevicesReport.metric`, with its interval."""

    index: int
    route: str
    top1: float
    low: float
    high: float


class Measured(Section):
    """What a device's report says.

    Attributes:
        folder: where its report lies, beside this file.
        sha256: of its report.json.
        device: what the device says of itself.
        engine: name and version of the inference library.
        target: name of the target that the harness was built for.
        validity: whether its numbers may be trusted.
        stages: of the bundle.
        metrics: all of the report.
        ratios: all of the report.
    """

    folder: FolderName
    sha256: Annotated[str, TextPattern(r"[0-9a-f]{64}", "a sha256 in hexadecimal")]
    device: DeviceProperties
    engine: str
    target: str
    validity: Validity
    stages: Annotated[tuple[StageSummary, ...], Field(min_length=1)]
    metrics: dict[str, MetricSummary]
    ratios: dict[str, Ratio]

    @classmethod
    def of(cls, report: Report, folder: str, sha256: str) -> Self:
        """The summary of a report.

        Args:
            report: a whole one.
            folder: the name of its folder.
            sha256: of its file.
        """
        return cls(
            folder=folder,
            sha256=sha256,
            device=report.context.device,
            engine=report.context.engine,
            target=report.context.target,
            validity=report.validity,
            stages=tuple(
                StageSummary.model_validate(
                    stage.model_dump(include=set(StageSummary.model_fields))
                )
                for stage in report.stages
            ),
            metrics={
                name: MetricSummary(
                    unit=metric.unit,
                    median=metric.median,
                    low=metric.low,
                    high=metric.high,
                    rounds=len(metric.samples),
                )
                for name, metric in report.metrics.items()
            },
            ratios=report.ratios,
        )


class Failure(Section):
    """Why a device has no report, or one that says that its results are wrong.

    Attributes:
        status: the exit status that measuring this device alone ends with; 0 where it was skipped.
        what: what went wrong.
        remedy: what to do about it.
    """

    status: Annotated[int, Field(ge=0, le=5)]
    what: str
    remedy: str

    @classmethod
    def of(cls, error: PipelineError) -> Self:
        """An error, to be kept."""
        return cls(status=int(error.code), what=error.what, remedy=error.remedy)

    def __str__(self) -> str:
        return f"{self.what}\n  remedy: {self.remedy}" if self.remedy else self.what


class DeviceResult(Section):
    """What became of one device.

    Attributes:
        name: as ``--device`` takes it.
        outcome: ``skipped`` where it was measured under another name.
        shares_processor_with: names of those that run on the same processor; they were measured one
            after the other.
        measured: what its report says, where it has one.
        failure: why it has none, or what is wrong with its results.
    """

    name: str
    outcome: Outcome
    shares_processor_with: tuple[str, ...] = ()
    measured: Measured | None = None
    failure: Failure | None = None

    @property
    def status(self) -> ExitCode:
        """The exit status that measuring this device alone ends with."""
        return ExitCode.OK if self.failure is None else ExitCode(self.failure.status)

    @model_validator(mode="after")
    def _of_its_outcome(self) -> Self:
        if (self.outcome == "measured") != (self.measured is not None):
            raise ValueError(f"{self.name}: only what was measured has a report")
        if self.outcome != "measured" and self.failure is None:
            raise ValueError(f"{self.name}: nothing says why it was not measured")
        if (self.outcome == "failed") and self.status is ExitCode.OK:
            raise ValueError(f"{self.name}: a failure has an exit status of its own")
        return self


class DevicesReport(Section):
    """All devices of one run.

    Attributes:
        created: UTC, ISO 8601.
        tool: version of this package.
        status: the exit status of the run, the gravest of all devices.
        bundle: what was measured.
        options: how much was measured.
        seconds: how long all of it took.
        devices: in the order in which they were named.
        output: what the model answers with, where that is not a logit for each label.
        warnings: what speaks against the model, as the manifest says.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    created: str
    tool: str
    status: Annotated[int, Field(ge=0, le=5)]
    bundle: BundleFacts
    options: CampaignOptions
    seconds: float
    devices: Annotated[tuple[DeviceResult, ...], Field(min_length=1)]
    output: Output | None = None
    warnings: tuple[ModelWarning, ...] = ()

    @property
    def metric(self) -> TaskMetric:
        """What stages are judged by."""
        return metric_of_output(self.output)

    def to_json(self) -> str:
        """The text of devices.json."""
        return json.dumps(self.model_dump(mode="json"), indent=1, sort_keys=True) + "\n"

    @property
    def measured(self) -> list[tuple[str, Measured]]:
        """Name and numbers of every device that has a report."""
        return [(each.name, each.measured) for each in self.devices if each.measured]

    @model_validator(mode="after")
    def _of_its_devices(self) -> Self:
        names = [device.name for device in self.devices]
        folders = [measured.folder for _, measured in self.measured]
        if len(set(names)) != len(names) or len(set(folders)) != len(folders):
            raise ValueError("a device or a folder occurs twice")
        if self.status != status_of(self.devices):
            raise ValueError("the status is not the gravest of the devices'")
        return self


def status_of(devices: Iterable[DeviceResult]) -> ExitCode:
    """The exit status of a run: the gravest of all its devices."""
    return worst_code(device.status for device in devices)


def load_devices(path: Path) -> DevicesReport:
    """Reads a devices.json. Raises as `pipeline.report.report_file.load_report` does."""
    return read_document(path, DevicesReport, SCHEMA_VERSION)
