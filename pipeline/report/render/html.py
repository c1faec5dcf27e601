"""A report as one self-contained HTML page."""

from __future__ import annotations

import json

from pipeline.core.formatting import milliseconds, size
from pipeline.report.arms import arm_names
from pipeline.report.conclusions import conclusions_of
from pipeline.report.integrity import deviation_text, parity_of, parity_text, within_limit
from pipeline.report.ratios import ratio_words
from pipeline.report.render import plots
from pipeline.report.render.page import environment
from pipeline.report.render.recall_table import recall_sentence, share
from pipeline.report.render.schedule_table import schedule_rows, schedule_sentence
from pipeline.report.render.state_table import (
    build_words,
    cores_words,
    rejected_words,
    state_rows,
)
from pipeline.report.render.tables import (
    STALL_WORDS,
    describe_device,
    megabytes,
    states_of,
)
from pipeline.report.schema import Report


def report_page(report: Report, curve: str) -> str:
    """The text of report.html.

    Args:
        report: what to show.
        curve: the accuracy curve as SVG, which is also written on its own.
    """
    states = states_of(report)
    return (
        environment()
        .get_template("page.html.j2")
        .render(
            report=report,
            device=describe_device(report.context.device),
            states=states,
            sentences={state: _sentence(report, state) for state in states},
            conclusions=conclusions_of(report),
            starts=_starts(report, states),
            stages=_stages(report, states),
            recall=_recall(report),
            images=_images(report),
            choice=schedule_rows(report.schedule) if report.schedule else [],
            chosen=schedule_sentence(report.schedule) if report.schedule else "",
            ratios=_ratios(report),
            parity=_parity(report),
            build=build_words(report),
            cores=cores_words(report),
            rejected=rejected_words(report),
            state=state_rows(report),
            plots={
                "curve": curve,
                "phases": plots.phases(report),
                "memory": plots.memory(report),
                "timeline": plots.timeline(report),
            },
            context=json.dumps(
                report.context.model_dump(mode="json"), indent=1, ensure_ascii=False
            ),
        )
    )


def _sentence(report: Report, state: str) -> str:
    """What a reader should know if they read one line."""
    metrics = report.metrics
    first = metrics[f"ttfi_ms.pwl.{state}"].median
    alone = metrics[f"ttfi_ms.teacher.{state}"].median
    final = metrics[f"time_to_final_ms.{state}"].median
    low, high = report.stages[0].top1, report.stages[-1].top1
    return (
        f"the first answer is there after {milliseconds(first)} ms instead of "
        f"{milliseconds(alone)} ms ({alone / first:.1f} times earlier), {low:.2%} accurate; after "
        f"{milliseconds(final)} ms answers are the teacher's, {high:.2%} accurate."
    )


def _starts(report: Report, states: list[str]) -> list[list[str]]:
    rows: list[list[str]] = []
    for start in (f"{arm}.{state}" for state in states for arm in arm_names(report.bundle)):
        arm, _, state = start.partition(".")
        ttfi, process = report.metrics[f"ttfi_ms.{start}"], report.metrics[f"process_ms.{start}"]
        cache = report.metrics.get(f"cache_bytes.{start}")
        rows.append(
            [
                arm,
                state,
                milliseconds(ttfi.median),
                f"{milliseconds(ttfi.low)}-{milliseconds(ttfi.high)}",
                milliseconds(process.median),
                size(cache.median) if cache else "",
            ]
        )
    return rows


def _stages(report: Report, states: list[str]) -> list[list[str]]:
    def cell(name: str) -> str:
        metric = report.metrics.get(name)
        return milliseconds(metric.median) if metric else ""

    rows: list[list[str]] = []
    for stage in report.stages:
        index = stage.index
        rows.append(
            [
                str(index),
                stage.route,
                size(stage.load_bytes),
                *(cell(f"time_to_stage_ms.{index}.{state}") for state in states),
                cell(f"swap_load_ms.{index}.{states[-1]}"),
                cell(f"latency_ms.stage-{index}"),
                cell(f"latency_during_load_ms.{index + 1}"),
                cell(f"first_after_swap_ms.{index}"),
                megabytes(report.metrics.get(f"stage_rss_mb.{index}")),
                f"{stage.top1:.2%}",
                f"{100 * stage.low:.1f}-{100 * stage.high:.1f}",
                share(stage.balanced),
                str(stage.differing),
                parity_text(parity_of(report, f"stage-{index}")),
            ]
        )
    return rows


def _recall(report: Report) -> str:
    """The final stage's recalls in words."""
    recall = report.stages[-1].recall
    return f"Final stage, {recall_sentence(recall, report.labels)}." if recall else ""


def _images(report: Report) -> str:
    """What an app has to do with an image, in words."""
    if report.input is None:
        return ""
    preprocessing, stated = report.input.preprocessing, report.input.normalization
    mean, std = (" ".join(f"{value:g}" for value in values) for values in (stated.mean, stated.std))
    return f"{preprocessing}, minus mean {mean}, / std {std} ({preprocessing.origin})"


def _parity(report: Report) -> list[list[str]]:
    """Program, largest absolute and relative deviation (decibels where quantized), verdict."""
    rows: list[list[str]] = []
    for result in report.parity:
        if result.max_abs is None or result.max_rel is None:
            cells = ["NaN", "NaN"]
        else:
            cells = [f"{result.max_abs:.1e}", deviation_text(result)]
        rows.append([result.name, *cells, "pass" if within_limit(result) else "FAIL"])
    return rows


def _ratios(report: Report) -> list[list[str]]:
    rows: list[list[str]] = []
    for name, ratio in report.ratios.items():
        words, state = ratio_words(name)
        interval = f"{ratio.low:.3f}-{ratio.high:.3f}"
        rows.append([words, state, f"{ratio.median:.3f}", interval, str(ratio.rounds)])
    for name, words in STALL_WORDS.items():
        if stall := report.metrics.get(name):
            interval = f"{stall.low:.3f}-{stall.high:.3f}"
            rows.append([words, "warm", f"{stall.median:.3f}", interval, str(len(stall.samples))])
    return rows
