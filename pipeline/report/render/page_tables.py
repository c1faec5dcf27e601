"""The tables of a report's page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.core.formatting import milliseconds, size
from pipeline.report.integrity import deviation_text, parity_of, parity_text, within_limit
from pipeline.report.metric_names import states_in
from pipeline.report.ratios import ratio_words
from pipeline.report.render.arms_table import Cell, arms_head, arms_rows
from pipeline.report.render.recall_table import share
from pipeline.report.render.schedule_table import schedule_rows
from pipeline.report.render.serving_table import SERVING_COLUMNS, serving_rows
from pipeline.report.render.state_table import state_rows
from pipeline.report.render.tables import STALL_WORDS, megabytes
from pipeline.report.schema import Report


@dataclass(frozen=True, slots=True)
class Table:
    """A table for `macros.html.j2`.

    Attributes:
        name: what it is, for those who hear the page.
        head: a name for each column.
        rows: a cell for each column.
        text: numbers of the columns, beside the first one, that hold words rather than numbers.
    """

    name: str
    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    text: tuple[int, ...] = ()

    @classmethod
    def plain(
        cls, name: str, head: Sequence[str], rows: Sequence[Sequence[str]], text: tuple[int, ...]
    ) -> Table:
        """One without small print."""
        return cls(name, head, [[(cell, "") for cell in row] for row in rows], text)


def page_tables(report: Report) -> dict[str, Table]:
    """By the name that the template knows."""
    head = ("what", "before", "between rounds", "after")
    found = {
        "arms": Table("arms side by side", ["", *arms_head(report)], arms_rows(report)),
        "stages": _stages(report),
        "ratios": _ratios(report),
        "parity": _parity(report),
        "state": Table.plain("state of the device", head, state_rows(report), (1, 2, 3)),
    }
    if report.schedule is not None:
        choice = (
            "route",
            f"loads, {report.schedule.cost_unit}",
            f"gain, {report.metric.step}",
            "why",
        )
        chosen = [
            [(route, ships), (cost, ""), (gain, interval), (why, "")]
            for route, ships, cost, gain, interval, why in schedule_rows(
                report.schedule, report.metric
            )
        ]
        found["choice"] = Table("why these stages", choice, chosen, (3,))
    if rows := serving_rows(report):
        found["serving"] = Table.plain("serving while blocks load", SERVING_COLUMNS, rows, (1,))
    return found


def _stages(report: Report) -> Table:
    states = states_in(report.metrics)

    def cell(name: str) -> str:
        metric = report.metrics.get(name)
        return milliseconds(metric.median) if metric else ""

    unit, judged = report.stages[0].unit, report.metric
    head = (
        *("stage", "route", "loads", *(f"first answer, {state}, ms" for state in states)),
        *("load, ms", "steady, ms", "worst during next load, ms", "first after swap, ms"),
        *("RSS, MB", judged.column, "balanced", f"{unit} unlike host", "max rel error"),
    )
    rows: list[list[Cell]] = []
    for stage in report.stages:
        index = stage.index
        plain = [
            str(index),
            stage.route,
            size(stage.load_bytes),
            *(cell(f"time_to_stage_ms.{index}.{state}") for state in states),
            cell(f"swap_load_ms.{index}.{states[-1]}") if states else "",
            cell(f"latency_ms.stage-{index}"),
            cell(f"latency_during_load_ms.{index + 1}"),
            cell(f"first_after_swap_ms.{index}"),
            megabytes(report.metrics.get(f"stage_rss_mb.{index}")),
        ]
        interval = judged.interval(stage.low, stage.high)
        error = parity_text(parity_of(report, f"stage-{index}"))
        last = [share(stage.balanced), str(stage.differing), error]
        rows.append(
            [
                *((text, "") for text in plain),
                (judged.value(stage.top1), interval),
                *((text, "") for text in last),
            ]
        )
    return Table("stages", head, rows, (1,))


def _parity(report: Report) -> Table:
    """Program, largest absolute and relative deviation (decibels where quantized), verdict."""
    rows: list[list[str]] = []
    for result in report.parity:
        if result.max_abs is None or result.max_rel is None:
            cells = ["NaN", "NaN"]
        else:
            cells = [f"{result.max_abs:.1e}", deviation_text(result)]
        rows.append([result.name, *cells, "pass" if within_limit(result) else "FAIL"])
    return Table.plain("parity", ("program", "max abs", "max rel", "verdict"), rows, ())


def _ratios(report: Report) -> Table:
    rows: list[list[Cell]] = []
    for name, ratio in report.ratios.items():
        words, state = ratio_words(name)
        interval = f"{ratio.low:.3f}-{ratio.high:.3f}"
        rows.append([(words, state), (f"{ratio.median:.3f}", interval), (str(ratio.rounds), "")])
    for name, words in STALL_WORDS.items():
        if stall := report.metrics.get(name):
            interval = f"{stall.low:.3f}-{stall.high:.3f}"
            rounds = str(len(stall.samples))
            rows.append([(words, "warm"), (f"{stall.median:.3f}", interval), (rounds, "")])
    return Table("ratios", ("", "median, 95 % interval", "rounds"), rows)
