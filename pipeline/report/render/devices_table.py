"""Several devices side by side as a table for a terminal of 100 columns."""

from __future__ import annotations

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pipeline.core.formatting import counted, milliseconds
from pipeline.report.arms import arm_names
from pipeline.report.devices import DeviceResult, DevicesReport, Measured
from pipeline.report.metric_names import states_in
from pipeline.report.render.curve import arm_title
from pipeline.report.render.terminal import table_console
from pipeline.settings import PROGRESSIVE, TaskMetric

_BAR = 24


def print_devices(report: DevicesReport) -> None:
    """Prints `devices_tables` on stdout, never wider than 100 columns."""
    console = table_console()
    console.print(devices_tables(report))


def devices_tables(report: DevicesReport) -> RenderableType:
    """What became of each device, and a table of first answers for each start state."""
    parts: list[RenderableType] = [_head(report), _devices(report)]
    parts += [_starts(report, state) for state in measured_states(report)]
    return Group(*parts, Text("\n".join(f"warning: {each.text}" for each in report.warnings)))


def measured_states(report: DevicesReport) -> list[str]:
    """The start states that any device was measured in."""
    return states_in({name for _, measured in report.measured for name in measured.metrics})


def _head(report: DevicesReport) -> Text:
    bundle = report.bundle
    return Text(
        f"{bundle.name} {bundle.id[:12]} ({bundle.backend}) on "
        f"{counted(len(report.devices), 'device')}, {len(report.measured)} measured; "
        f"{counted(report.options.rounds, 'round')}, medians\n"
    )


def _table(title: str, *columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False)
    table.add_column(columns[0], overflow="fold", min_width=22, max_width=30)
    for name in columns[1:]:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _devices(report: DevicesReport) -> Table:
    judged = report.metric.column
    name = judged.replace(" ", "\n") if " " in judged else f"{judged}\n"
    table = _table(
        f"devices (latencies and {judged} of the last stage; during: worst while a block loads)",
        *(
            "device\n",
            "model\n",
            "numbers\n",
            name,
            "latency ms\nsteady",
            "\nduring",
        ),
        "peak RSS\nMB",
    )
    model = table.columns[1]
    model.justify, model.no_wrap, model.overflow, model.max_width = "left", False, "fold", 24
    table.columns[2].justify = "left"
    for result in report.devices:
        table.add_row(*_row(result, report.metric))
    return table


def _row(result: DeviceResult, metric: TaskMetric) -> list[str]:
    measured = result.measured
    if measured is None:
        return [result.name, "", result.outcome]
    last = measured.stages[-1]
    return [
        result.name,
        measured.device.model,
        measured.validity.verdict,
        metric.value(last.top1),
        value(measured, f"latency_ms.stage-{last.index}"),
        worst(measured, "latency_during_load_ms."),
        peak_megabytes(measured),
    ]


def _starts(report: DevicesReport, state: str) -> Table:
    """First answers of every arm and when the last stage is reached; bars are all of one scale."""
    table = _table(
        f"{state} start: first answer in ms, progressive (=) and each control arm alone (-)",
        *("device", "arm", "first answer", "progressive over it", "last stage"),
    )
    table.columns[1].justify = "left"
    table.add_column("", no_wrap=True)
    names = {arm: f"ttfi_ms.{arm}.{state}" for arm in arm_names(report.bundle)}
    found = [each.metrics for _, each in report.measured]
    longest = max(
        (each[name].median for each in found for name in names.values() if name in each), default=0
    )
    for name, measured in report.measured:
        for arm, metric in names.items():
            progressive = arm == PROGRESSIVE
            ratio = measured.ratios.get(f"ttfi_over_{arm}.{state}")
            table.add_row(
                name if progressive else "",
                arm_title(arm),
                value(measured, metric),
                f"{ratio.median:.3f}" if ratio else "",
                value(measured, f"time_to_final_ms.{state}") if progressive else "",
                bar(measured, metric, longest, "=" if progressive else "-"),
            )
    return table


def bar(measured: Measured, name: str, longest: float, sign: str) -> str:
    """A bar as long as a metric's median, of a scale on which `longest` fills the column."""
    metric = measured.metrics.get(name)
    return sign * max(1, round(_BAR * metric.median / longest)) if metric and longest > 0 else ""


def value(measured: Measured, name: str) -> str:
    """The median of a metric in milliseconds."""
    metric = measured.metrics.get(name)
    return milliseconds(metric.median) if metric else "-"


def worst(measured: Measured, kind: str) -> str:
    """The largest median of all metrics of a kind, in milliseconds."""
    found = [metric.median for name, metric in measured.metrics.items() if name.startswith(kind)]
    return milliseconds(max(found)) if found else "-"


def peak_megabytes(measured: Measured) -> str:
    """The progressive arm's peak memory, in the state that was measured last."""
    for state in reversed(states_in(measured.metrics)):
        if metric := measured.metrics.get(f"peak_rss_mb.{PROGRESSIVE}.{state}"):
            return f"{metric.median:.1f}"
    return "-"
