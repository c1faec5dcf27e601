"""A report as one self-contained HTML page."""

from __future__ import annotations

import json

from pipeline.core.formatting import milliseconds
from pipeline.report.conclusions import conclusions_of
from pipeline.report.metric_names import states_in
from pipeline.report.render.arm_plots import (
    latency_plot,
    memory_parts_plot,
    memory_plot,
    phases_plot,
)
from pipeline.report.render.climb_plot import climb_plot
from pipeline.report.render.curve import curve_plot
from pipeline.report.render.downloads import downloads
from pipeline.report.render.page_tables import page_tables
from pipeline.report.render.page_template import render_page
from pipeline.report.render.recall_table import overlap_sentence, recall_sentence
from pipeline.report.render.schedule_table import schedule_sentence
from pipeline.report.render.state_table import build_words, cores_words, rejected_words
from pipeline.report.render.tables import describe_device
from pipeline.report.schema import Report


def report_page(report: Report) -> str:
    """The text of report.html."""
    states = states_in(report.metrics)
    conclusions = conclusions_of(report)
    return render_page(
        "report.html.j2",
        report=report,
        device=describe_device(report.context.device),
        states=states,
        conclusions=conclusions,
        figures=[row for row in conclusions.sentences if row.figure],
        plots={
            "curve": curve_plot(report, {state: _sentence(report, state) for state in states}),
            "phases": phases_plot(report),
            "latency": latency_plot(report),
            "climb": climb_plot(report),
            "memory": memory_plot(report),
            "memory_parts": memory_parts_plot(report),
        },
        tables=page_tables(report),
        recall=_recall(report),
        images=_images(report),
        chosen=schedule_sentence(report.schedule, report.metric) if report.schedule else "",
        build=build_words(report),
        cores=cores_words(report),
        rejected=rejected_words(report),
        downloads=downloads(report),
        context=json.dumps(report.context.model_dump(mode="json"), indent=1, ensure_ascii=False),
    )


def _sentence(report: Report, state: str) -> str:
    """What a reader should know if they read one line."""
    metrics = report.metrics
    first = metrics[f"ttfi_ms.pwl.{state}"].median
    alone = metrics[f"ttfi_ms.teacher.{state}"].median
    final = metrics[f"time_to_final_ms.{state}"].median
    low, high = report.stages[0].top1, report.stages[-1].top1
    words = report.metric.words
    return (
        f"The first answer is there after {milliseconds(first)} ms instead of "
        f"{milliseconds(alone)} ms ({alone / first:.1f} times earlier), {words(low)}; after "
        f"{milliseconds(final)} ms answers are the teacher's, {words(high)}."
    )


def _recall(report: Report) -> str:
    """The final stage's recalls in words, and of label maps and embeddings what accuracy is."""
    final = report.stages[-1]
    if final.host_cosine is not None:
        return "Answers are embeddings: a mean cosine of 1 is that of the teacher's own."
    if not final.recall:
        return ""
    words = f"Final stage, {recall_sentence(final.recall, report.labels)}."
    if final.mean_iou is not None:
        words += f" {overlap_sentence(final.mean_iou, final.iou, report.labels)}."
        words += " Of labeled pixels; intervals are by images."
    return words


def _images(report: Report) -> str:
    """What an app has to do with an image, in words."""
    if report.input is None or (stated := report.input.normalization) is None:
        return ""
    preprocessing = report.input.preprocessing
    mean, std = (" ".join(f"{value:g}" for value in values) for values in (stated.mean, stated.std))
    if preprocessing is None:
        return f"values minus mean {mean}, / std {std}"
    return f"{preprocessing}, minus mean {mean}, / std {std} ({preprocessing.origin})"
