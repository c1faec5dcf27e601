"""A report as tables for a terminal of 100 columns."""

from __future__ import annotations

import textwrap

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pipeline.core.formatting import counted, milliseconds, size
from pipeline.device.base import DeviceProperties
from pipeline.report.arms import arm_names
from pipeline.report.conclusions import conclusions_of
from pipeline.report.integrity import parity_of, parity_text
from pipeline.report.metric_names import states_in
from pipeline.report.ratios import ratio_words
from pipeline.report.render.memory_table import MEMORY_COLUMNS, memory_rows
from pipeline.report.render.schedule_table import schedule_table
from pipeline.report.render.serving_table import SERVING_COLUMNS, serving_rows
from pipeline.report.render.state_table import rejected_words
from pipeline.report.render.terminal import table_console
from pipeline.report.schema import Metric, Report

#: Where the name of a column of `serving_rows` goes on in another line.
_COLUMN = 12
#: The worst latency around the loading of blocks, in words.
STALL_WORDS = {
    "swap_stall": "worst latency while a block loads / steady before",
    "swap_stall_quiet": "worst of as many just before, nothing loading / steady",
}


def print_report(report: Report) -> None:
    """Prints `report_tables` on stdout, never wider than 100 columns."""
    console = table_console()
    console.print(report_tables(report))


def report_tables(report: Report) -> RenderableType:
    """Whether it pays, starts, stages and why these, ratios and validity."""
    parts: list[RenderableType] = [_head(report), _conclusions(report)]
    parts += [_starts(report), _stages(report)]
    if report.schedule is not None:
        parts.append(schedule_table(report.schedule, report.metric))
    if serving := serving_rows(report):
        parts.append(_serving(serving))
    if memory := memory_rows(report):
        parts.append(_memory(memory))
    return Group(*parts, _ratios(report), _trust(report), _warnings(report))


def _warnings(report: Report) -> Text:
    """What speaks against the model, a line each."""
    return Text("\n".join(f"warning: {warning.text}" for warning in report.warnings))


def describe_device(device: DeviceProperties) -> str:
    """The device in one line."""
    parts = [device.model, device.system, f"{device.cores} cores"]
    memory = device.memory_bytes
    return ", ".join([*parts, size(memory)] if memory else parts)


def megabytes(metric: Metric | None) -> str:
    """The median of a metric in MB; empty where the device did not say."""
    return "" if metric is None else f"{metric.median:.1f}"


def _head(report: Report) -> Text:
    bundle, options = report.bundle, report.context.options
    return Text(
        f"{bundle.name} {bundle.id[:12]}, {bundle.precision} on {report.context.engine}"
        f", {counted(bundle.threads, 'thread')}\n"
        f"{report.context.device.serial}: {describe_device(report.context.device)}\n"
        f"{counted(options.rounds, 'round')}, interleaved; medians [95 % interval]\n"
    )


def _conclusions(report: Report) -> Text:
    """Whether loading progressively pays, and each reason with a sign."""
    found = conclusions_of(report)
    return Text("\n".join([found.sum, *(f" {row.sign} {row.text}" for row in found.sentences), ""]))


def _table(title: str, *columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False)
    for index, name in enumerate(columns):
        table.add_column(name, justify="right" if index else "left", no_wrap=True)
    return table


def _span(metric: Metric | None) -> str:
    if metric is None:
        return "-"
    low, high = milliseconds(metric.low), milliseconds(metric.high)
    return f"{milliseconds(metric.median)} [{low}-{high}]"


def _starts(report: Report) -> Table:
    table = _table(
        "time to first inference",
        *("state", "arm", "ttfi ms", "since process start ms", "weight caches", "peak RSS MB"),
    )
    table.columns[1].justify = "left"
    arms = arm_names(report.bundle)
    for state in states_in(report.metrics):
        for arm in arms:
            start = f"{arm}.{state}"
            process = report.metrics.get(f"process_ms.{start}")
            peak = report.metrics.get(f"peak_rss_mb.{start}")
            cache = report.metrics.get(f"cache_bytes.{start}")
            table.add_row(
                state,
                arm,
                _span(report.metrics.get(f"ttfi_ms.{start}")),
                _span(process),
                size(cache.median) if cache else "-",
                megabytes(peak) or "-",
                end_section=arm == arms[-1],
            )
    return table


def _stages(report: Report) -> Table:
    # The page has a column for starts with weight caches, too.
    states = [state for state in states_in(report.metrics) if state != "cold-cached"]
    metric = report.metric
    table = _table(
        "stages (ready: when its first answer is there; during: worst while the next one loads)",
        "stage\nroute",
        "loads\n",
        *(f"ready ms\n{state}" for state in states),
        *("load\nms", "latency ms\nsteady", "\nduring", "RSS\nMB", f"{metric.column}\n"),
        "max rel\nerror",
    )

    def cell(name: str, digits: str = "ms") -> str:
        found = report.metrics.get(name)
        if found is None:
            return ""
        return milliseconds(found.median) if digits == "ms" else f"{found.median:.1f}"

    for stage in report.stages:
        index = stage.index
        table.add_row(
            f"{index} {stage.route}",
            size(stage.load_bytes),
            *(cell(f"time_to_stage_ms.{index}.{state}") for state in states),
            cell(f"swap_load_ms.{index}.{states[-1]}") if states else "",
            cell(f"latency_ms.stage-{index}"),
            cell(f"latency_during_load_ms.{index + 1}"),
            cell(f"stage_rss_mb.{index}", "MB"),
            report.metric.value(stage.top1)
            + (f" ({stage.differing} differ)" if stage.differing else ""),
            parity_text(parity_of(report, f"stage-{index}")),
        )
    return table


def _serving(rows: list[list[str]]) -> Table:
    title = "serving while blocks load (frames missed: not answered before they ended)"
    table = _table(title, *(textwrap.fill(name, _COLUMN) for name in SERVING_COLUMNS))
    table.columns[1].justify = "left"
    for row in rows:
        table.add_row(*(cell.replace(" [", "\n[") for cell in row))
    return table


def _memory(rows: list[list[str]]) -> Table:
    table = _table("memory at its highest, by what it is", *MEMORY_COLUMNS)
    for row in rows:
        table.add_row(*row)
    return table


def _ratios(report: Report) -> Table:
    table = _table("ratios, paired by round", "", "state", "median", "95 % interval")
    for name, ratio in report.ratios.items():
        words, state = ratio_words(name)
        table.add_row(
            words,
            state,
            f"{ratio.median:.3f}",
            f"{ratio.low:.3f}-{ratio.high:.3f}",
        )
    for name, words in STALL_WORDS.items():
        if stall := report.metrics.get(name):
            interval = f"{stall.low:.3f}-{stall.high:.3f}"
            table.add_row(words, "warm", f"{stall.median:.3f}", interval)
    return table


def _trust(report: Report) -> Text:
    lines = [f"the numbers are {report.validity.verdict}"]
    lines += [f"  {reason}" for reason in report.validity.reasons]
    lines += [words] if (words := rejected_words(report)) else []
    return Text("\n".join(lines))
