"""The plots of several devices, as SVG text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import cycle, product
from typing import TYPE_CHECKING

from pipeline.model.arm import TEACHER
from pipeline.report.devices import DevicesReport, Measured
from pipeline.report.render.plots import COLORS, arm_title, as_svg, new_figure
from pipeline.settings import PROGRESSIVE

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LINES = ("-", "--", ":", "-.")
_LONGEST = 28


def curves(report: DevicesReport, states: list[str]) -> str:
    """Accuracy over the time since the app wanted an answer, a line for each device."""
    figure, axes = new_figure(len(states), 3.2 + 0.2 * (len(report.measured) // 4))
    styles = dict(zip((name for name, _ in report.measured), _styles(), strict=False))
    for axis, state in zip(axes, states, strict=True):
        reached = {name: _reached(each, state) for name, each in report.measured}
        end = 1.15 * max((times[-1] for times in reached.values() if times), default=1.0)
        for name, measured in report.measured:
            if times := reached[name]:
                top1 = [100 * stage.top1 for stage in measured.stages]
                line, color = styles[name]
                axis.plot(
                    [*times, end],
                    [*top1, top1[-1]],
                    drawstyle="steps-post",
                    linestyle=line,
                    color=color,
                    marker="o",
                    markevery=range(len(times)),
                    markersize=4,
                    label=_short(name),
                )
        axis.set(title=f"{state} start", xlim=(0, end), xlabel="ms since the app wanted an answer")
    axes[0].set_ylabel("top-1 accuracy, %")
    _legend(figure, axes, columns=4)
    return as_svg(figure)


def starts(report: DevicesReport, states: list[str]) -> str:
    """Time to the first answer of every device: progressive, and the teacher alone."""
    figure, axes = new_figure(len(states), 0.9 + 0.45 * len(report.measured))
    for axis, state in zip(axes, states, strict=True):
        for row, (_, measured) in enumerate(reversed(report.measured)):
            for shift, arm, color in ((0.2, PROGRESSIVE, COLORS[0]), (-0.2, TEACHER, COLORS[2])):
                label = arm_title(arm) if row == 0 else None
                name = f"ttfi_ms.{arm}.{state}"
                width = _median(measured, name)
                axis.barh(row + shift, width, height=0.36, color=color, label=label)
                axis.annotate(
                    f"{width:.2f}" if name in measured.metrics else "not measured",
                    (width, row + shift),
                    (3, -3),
                    textcoords="offset points",
                    fontsize=7,
                )
        _name_rows(axis, report)
        axis.set(title=f"{state} start", xlabel="ms")
        axis.margins(x=0.14)
    _legend(figure, axes, columns=2)
    return as_svg(figure)


def costs(report: DevicesReport, states: list[str]) -> str:
    """Steady latency of the first and the last stage, and peak memory."""
    figure, axes = new_figure(2, 0.9 + 0.45 * len(report.measured))
    for row, (_, measured) in enumerate(reversed(report.measured)):
        stages = (measured.stages[0].index, measured.stages[-1].index)
        for shift, index, color in zip((0.2, -0.2), stages, COLORS, strict=False):
            width = _median(measured, f"latency_ms.stage-{index}")
            label = ("first stage" if shift > 0 else "last stage") if row == 0 else None
            axes[0].barh(row + shift, width, height=0.36, color=color, label=label)
        peaks = [_median(measured, f"peak_rss_mb.pwl.{state}") for state in states]
        axes[1].barh(row, max(peaks), height=0.6, color=COLORS[0])
    for axis, title, unit in zip(
        axes, ("steady latency", "peak memory, progressive"), ("ms", "MB"), strict=True
    ):
        _name_rows(axis, report)
        axis.set(title=title, xlabel=unit)
    _legend(figure, axes, columns=2)
    return as_svg(figure)


def _styles() -> Iterator[tuple[str, str]]:
    """Line and color: as many as can be told from each other, then from the beginning."""
    return cycle(product(_LINES, COLORS))


def _legend(figure: Figure, axes: Sequence[Axes], columns: int) -> None:
    """Below all axes, where it covers nothing."""
    found: dict[str, Artist] = {}
    for axis in axes:
        handles, labels = axis.get_legend_handles_labels()
        found |= dict(zip(labels, handles, strict=True))
    figure.legend(
        [*found.values()],
        [*found],
        ncols=columns,
        loc="outside lower center",
        fontsize=8,
        frameon=False,
    )


def _name_rows(axis: Axes, report: DevicesReport) -> None:
    names = [_short(name) for name, _ in reversed(report.measured)]
    axis.set_yticks(range(len(names)), names, fontsize=8)


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else f"...{name[3 - _LONGEST :]}"


def _reached(measured: Measured, state: str) -> list[float]:
    """When each stage's first answer was there, in ms; empty where the state was not measured."""
    names = [f"time_to_stage_ms.{stage.index}.{state}" for stage in measured.stages]
    found = [measured.metrics[name].median for name in names if name in measured.metrics]
    return found if len(found) == len(names) else []


def _median(measured: Measured, name: str) -> float:
    metric = measured.metrics.get(name)
    return metric.median if metric else 0.0  # 0: the device does not say
