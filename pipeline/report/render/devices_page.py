"""Several devices side by side as one self-contained HTML page."""

from __future__ import annotations

from pipeline.core.formatting import milliseconds
from pipeline.report.arms import arm_names
from pipeline.report.devices import DeviceResult, DevicesReport, Measured
from pipeline.report.ratios import ratio_words
from pipeline.report.render import devices_plots
from pipeline.report.render.arms_table import Cell
from pipeline.report.render.curve import arm_title
from pipeline.report.render.devices_table import measured_states
from pipeline.report.render.page_tables import Table
from pipeline.report.render.page_template import render_page
from pipeline.report.render.panel import Plot
from pipeline.report.render.tables import describe_device
from pipeline.settings import TaskMetric


def devices_page(report: DevicesReport) -> str:
    """The text of devices.html; its links lead to the devices' own pages beside it."""
    states = measured_states(report)
    plots: dict[str, Plot] = {}
    if report.measured:
        plots = {
            "curves": devices_plots.curves_plot(report, states),
            "starts": devices_plots.starts_plot(report, states),
            "costs": devices_plots.costs_plot(report, states),
        }
    return render_page(
        "devices.html.j2",
        report=report,
        descriptions={result.name: _description(result) for result in report.devices},
        numbers=_numbers(report, states),
        plots=plots,
    )


def _description(result: DeviceResult) -> str:
    if result.measured is None:
        return ""
    return describe_device(result.measured.device)


def _numbers(report: DevicesReport, states: list[str]) -> Table:
    """A row for whatever any device tells, a column for each device that was measured."""
    devices = [measured for _, measured in report.measured]
    longest = max((len(device.stages) for device in devices), default=0)
    rows: list[tuple[str, list[Cell]]] = []
    for state in states:
        for arm in arm_names(report.bundle):
            name = f"ttfi_ms.{arm}.{state}"
            rows.append(
                (f"first answer, {arm_title(arm)}, {state}, ms", [_ms(d, name) for d in devices])
            )
        name = f"time_to_final_ms.{state}"
        rows.append((f"last stage reached, {state}, ms", [_ms(d, name) for d in devices]))
    for index in range(longest):
        cells = [_accuracy(report.metric, device, index) for device in devices]
        rows.append((f"{report.metric.column} of stage {index}", cells))
    for name, words in _metrics(longest, states).items():
        rows.append((words, [_metric(device, name) for device in devices]))
    for name in sorted({name for device in devices for name in device.ratios}):
        words, state = ratio_words(name)
        title = f"{words}, {state}" if state else words
        rows.append((title, [_ratio(device, name) for device in devices]))
    kept = [[(title, ""), *cells] for title, cells in rows if any(value for value, _ in cells)]
    return Table("numbers", ["", *(name for name, _ in report.measured)], kept)


def _metrics(stages: int, states: list[str]) -> dict[str, str]:
    by_stage = {f"latency_ms.stage-{k}": f"steady latency of stage {k}, ms" for k in range(stages)}
    swaps = {
        f"latency_during_load_ms.{k}": f"worst latency while stage {k} loads, ms"
        for k in range(1, stages)
    }
    peaks = {f"peak_rss_mb.pwl.{state}": f"peak memory, {state}, MB" for state in states}
    return by_stage | swaps | peaks


def _ms(device: Measured, name: str) -> Cell:
    metric = device.metrics.get(name)
    if metric is None:
        return "", ""
    return milliseconds(metric.median), f"{milliseconds(metric.low)}-{milliseconds(metric.high)}"


def _metric(device: Measured, name: str) -> Cell:
    metric = device.metrics.get(name)
    if metric is None or metric.unit == "ms":
        return _ms(device, name)
    return f"{metric.median:.1f}", f"{metric.low:.1f}-{metric.high:.1f}"


def _accuracy(metric: TaskMetric, device: Measured, index: int) -> Cell:
    stage = next((stage for stage in device.stages if stage.index == index), None)
    if stage is None:
        return "", ""
    return metric.value(stage.top1), metric.interval(stage.low, stage.high)


def _ratio(device: Measured, name: str) -> Cell:
    ratio = device.ratios.get(name)
    return (f"{ratio.median:.3f}", f"{ratio.low:.3f}-{ratio.high:.3f}") if ratio else ("", "")
