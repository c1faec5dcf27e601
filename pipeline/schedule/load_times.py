"""How long the units of a model take to load: measured on a device, or as their bytes suggest."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pipeline.core.errors import IntegrityError, UsageError
from pipeline.model.route import Role, Route, UnitId

if TYPE_CHECKING:
    from pipeline.report.schema import Report, StageResult

#: A report of other networks gives itself away by bytes that differ by a larger share.
_SIMILAR = 0.25
#: What a program holds beside parameters, in bytes: 5,000 for convolutions, 26,000 for a ViT layer.
_GRAPH = 50_000
_REMEDY = "name a report of the same networks in schedule.load_times"
_MEGABYTE = 1e6

UnitSizes = Mapping[UnitId, int]


@dataclass(frozen=True, slots=True)
class LoadTimes:
    """The cost of loading each unit.

    Attributes:
        unit: what costs are in, ``ms`` or ``MB``.
        origin: where they come from, for a person.
        known: the costs of units that were measured.
        fixed: cost of any other unit, whatever its size.
        per_megabyte: and by its size.
        sizes: bytes of the parameters of every unit of the model.
    """

    unit: Literal["ms", "MB"]
    origin: str
    known: Mapping[UnitId, float]
    fixed: float
    per_megabyte: float
    sizes: UnitSizes

    def of(self, units: Iterable[UnitId]) -> float:
        """The cost of loading some units."""
        return sum(
            self.known.get(unit, self.fixed + self.per_megabyte * self.sizes[unit] / _MEGABYTE)
            for unit in units
        )


def by_bytes(sizes: UnitSizes) -> LoadTimes:
    """Costs in MB: what loading takes on a device whose storage sets the pace."""
    return LoadTimes("MB", "parameter bytes, as no device was measured", {}, 0.0, 1.0, sizes)


def measured(path: Path, sizes: UnitSizes) -> LoadTimes:
    """Costs in milliseconds from what a device measured.

    A stage's time is shared out among the units that it loads, by their bytes. A line through the
    stages, by least squares, gives the cost of units that were not measured.

    Args:
        path: a report.json of `pipeline.profile`.
        sizes: bytes of the parameters of every unit of the model.

    Raises:
        UsageError: there is no such report, it has no load times, or is one of other networks.
        IntegrityError: it is damaged, or the results that were measured are wrong.
    """
    from pipeline.report.integrity import wrong_results
    from pipeline.report.report_file import load_report

    report = load_report(path)
    if wrong := wrong_results(report):
        raise IntegrityError(f"{path} is of a device that computes wrongly: {wrong[0]}", _REMEDY)
    teacher = {unit for unit in sizes if unit.role is Role.TEACHER}
    if report.bundle.blocks != len(teacher):
        raise UsageError(
            f"{path}: its model has {report.bundle.blocks} blocks, this one {len(teacher)}", _REMEDY
        )
    known: dict[UnitId, float] = {}
    points: list[tuple[float, float]] = []
    for stage, loaded in _arrivals(report, sizes):
        expected = sum(sizes[unit] for unit in loaded)
        slack = _SIMILAR * max(stage.load_bytes, expected) + _GRAPH * len(loaded)
        if abs(stage.load_bytes - expected) > slack:
            raise UsageError(
                f"{path}: stage {stage.index} loads {stage.load_bytes:,} bytes, the same blocks of "
                f"this model have {expected:,}",
                _REMEDY,
            )
        taken = _load_ms(path, report, stage)
        known |= {unit: taken * sizes[unit] / expected for unit in loaded}
        points.append((expected / _MEGABYTE, taken))
    fixed, slope = _line(points)
    origin = f"measured on {report.context.device.model}, bundle {report.bundle.id[:12]}"
    return LoadTimes("ms", origin, known, fixed, slope, sizes)


def report_content(path: Path | None) -> str:
    """Changes with the report; empty without one.

    Raises:
        UsageError: there is no such file.
    """
    if path is None:
        return ""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise UsageError(f"schedule.load_times: {path}: {error.strerror}", _REMEDY) from None


def _arrivals(report: Report, sizes: UnitSizes) -> list[tuple[StageResult, list[UnitId]]]:
    """The units that each stage after the first loads; converters that do nothing are none."""
    found: list[tuple[StageResult, list[UnitId]]] = []
    routes = [set(Route.parse(stage.route).units()) for stage in report.stages]
    for stage, before, units in zip(report.stages[1:], routes, routes[1:], strict=False):
        found.append((stage, sorted(unit for unit in units - before if sizes[unit])))
    return found


def _load_ms(path: Path, report: Report, stage: StageResult) -> float:
    for state in ("cold", "warm"):
        if metric := report.metrics.get(f"swap_load_ms.{stage.index}.{state}"):
            return metric.median
    raise UsageError(
        f"{path}: has no load time of stage {stage.index}",
        "measure again with `python -m pipeline.profile`",
    )


def _line(points: list[tuple[float, float]]) -> tuple[float, float]:
    """The intercept and slope of a line through some points; through the origin if it must be."""
    import numpy as np

    sizes, costs = np.array(points).T
    if len(points) > 1:
        slope, fixed = np.polyfit(sizes, costs, 1)
        if slope >= 0 and fixed >= 0:
            return float(fixed), float(slope)
    return 0.0, float(costs.sum() / sizes.sum())
