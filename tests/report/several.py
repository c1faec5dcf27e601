"""Small reports of several devices, made by hand."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.core.errors import DeviceError, PipelineError
from pipeline.report.devices import DeviceResult, DevicesReport, Failure, Measured, status_of
from pipeline.report.ratios import ratios_of
from tests.report.builder import measured, report

GONE = DeviceError("nothing listens at <phone>", "plug it in & try again")


def well(name: str) -> DeviceResult:
    """A device that was measured; its report would lie in the folder ``NAME``."""
    found = measured(900, 900)
    ratios = ratios_of(found.metrics, found.bundle.arms, found.stages)
    found = found.model_copy(update={"ratios": ratios})
    return DeviceResult(name=name, outcome="measured", measured=Measured.of(found, name, "0" * 64))


def failed(name: str, error: PipelineError = GONE) -> DeviceResult:
    return DeviceResult(name=name, outcome="failed", failure=Failure.of(error))


def several(devices: Sequence[DeviceResult]) -> DevicesReport:
    single = report({})
    return DevicesReport(
        created=single.context.created,
        tool=single.context.tool,
        status=int(status_of(devices)),
        bundle=single.bundle,
        options=single.context.options,
        seconds=1.0,
        devices=tuple(devices),
    )
