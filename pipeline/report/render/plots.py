"""The plots of a report, as SVG text."""

from __future__ import annotations

import io
from statistics import median
from typing import TYPE_CHECKING

from pipeline.harness.campaign import ARMS
from pipeline.report.metric_samples import PHASES
from pipeline.report.render.tables import states_of
from pipeline.report.schema import Report

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS = {"pwl": "#1f6feb", "student": "#2da44e", "teacher": "#d1690e"}
_PHASE_COLORS = ("#8c959f", "#54aeff", "#e16f24", "#bf8700", "#4ac26b", "#0969da", "#8250df")
_ARM_NAMES = {"pwl": "progressive", "student": "student only", "teacher": "teacher only"}


def curve(report: Report) -> str:
    """Accuracy over the time since the app wanted an answer: progressive against the monoliths."""
    states = states_of(report)
    figure, axes = _figure(len(states), 2.9)
    accuracy = [100 * stage.top1 for stage in report.stages]
    low, high = ([100 * getattr(stage, end) for stage in report.stages] for end in ("low", "high"))
    floor = min(low) - 0.6 * (max(high) - min(low))
    for axis, state in zip(axes, states, strict=True):
        reached = [
            report.metrics[f"time_to_stage_ms.{stage.index}.{state}"].median
            for stage in report.stages
        ]
        alone = {arm: report.metrics[f"ttfi_ms.{arm}.{state}"].median for arm in ARMS[1:]}
        end = 1.15 * max(*reached, *alone.values())
        for arm, value in (("student", accuracy[0]), ("teacher", accuracy[-1])):
            at = alone[arm]
            axis.plot(
                [at, at, end], [floor, value, value], color=COLORS[arm], label=_ARM_NAMES[arm]
            )
        axis.plot(
            [reached[0], *reached, end],
            [floor, *accuracy, accuracy[-1]],
            drawstyle="steps-post",
            color=COLORS["pwl"],
            linewidth=2.2,
            label=_ARM_NAMES["pwl"],
        )
        axis.plot(reached, accuracy, "o", color=COLORS["pwl"], markersize=5)
        axis.fill_between(
            [*reached, end],
            [*low, low[-1]],
            [*high, high[-1]],
            step="post",
            color=COLORS["pwl"],
            alpha=0.12,
            linewidth=0,
            label="95 % interval",
        )
        below = False
        for stage, at, after, value in zip(
            report.stages, reached, [*reached[1:], 2 * end], accuracy, strict=True
        ):
            # Under the line where the next stage's name comes directly after and would cover it.
            below = after - at < 0.1 * end and not below
            offset = (3, -10) if below else (3, 6)
            axis.annotate(stage.route, (at, value), offset, textcoords="offset points", fontsize=7)
        axis.set(title=f"{state} start")
        axis.set(xlim=(0, end), ylim=(floor, max(high) + 0.15 * (max(high) - floor)))
    axes[0].set_ylabel("top-1 accuracy, %")
    figure.supxlabel("ms since the app wanted an answer", fontsize="medium")
    axes[-1].legend(loc="lower right", fontsize=8, frameon=False)
    return _svg(figure)


def phases(report: Report) -> str:
    """Time to first inference of every arm, its phases stacked."""
    states = states_of(report)
    figure, axes = _figure(len(states), 1.9)
    for axis, state in zip(axes, states, strict=True):
        for row, arm in enumerate(reversed(ARMS)):
            left = 0.0
            for phase, color in zip(PHASES, _PHASE_COLORS, strict=True):
                width = report.metrics[f"phase_ms.{arm}.{state}.{phase}"].median
                label = phase if row == 0 else None
                axis.barh(row, width, left=left, color=color, height=0.6, label=label)
                left += width
            total = report.metrics[f"ttfi_ms.{arm}.{state}"].median
            axis.annotate(
                f"{total:.2f} ms", (left, row), (4, -3), textcoords="offset points", fontsize=8
            )
        axis.set_yticks(range(len(ARMS)), [_ARM_NAMES[arm] for arm in reversed(ARMS)])
        axis.set(title=f"{state} start", xlabel="ms")
        axis.margins(x=0.16)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, ncols=len(PHASES), loc="outside lower center", fontsize=8)
    return _svg(figure)


def memory(report: Report) -> str:
    """Resident memory at every stage, beside the peaks of the arms."""
    figure, (axis,) = _figure(1, 2.6)
    measured = [report.metrics.get(f"stage_rss_mb.{stage.index}") for stage in report.stages]
    values = [metric.median if metric else 0.0 for metric in measured]  # 0: the device does not say
    labels = [f"{stage.index}\n{stage.route}" for stage in report.stages]
    bars = axis.bar(labels, values, color=COLORS["pwl"], width=0.55)
    axis.bar_label(bars, fmt="%.1f", fontsize=8)
    state = states_of(report)[-1]
    for arm in ARMS:
        metric = report.metrics.get(f"peak_rss_mb.{arm}.{state}")
        if metric is None:
            continue
        peak = metric.median
        axis.axhline(peak, color=COLORS[arm], linestyle="--", linewidth=1)
        axis.annotate(
            f"peak, {_ARM_NAMES[arm]}: {peak:.1f}",
            (1.01, peak),
            xycoords=("axes fraction", "data"),
            va="center",
            annotation_clip=False,
            fontsize=8,
            color=COLORS[arm],
        )
    axis.set(xlabel="stage", ylabel="resident MB")
    axis.margins(y=0.2)
    return _svg(figure)


def timeline(report: Report) -> str:
    """Every inference of one run that stays at each stage for a while, and when blocks loaded."""
    figure, (axis,) = _figure(1, 2.6)
    runs = report.runs.paced
    typical = median(run.inferences.begin_ns[-1] for run in runs)
    run = min(runs, key=lambda run: abs(run.inferences.begin_ns[-1] - typical))
    for load in run.loads[1:]:
        axis.axvspan(load.load_begin_ns / 1e6, load.ready_ns / 1e6, color="#ffd8b5")
    begin = [ns / 1e6 for ns in run.inferences.begin_ns]
    took = [ns / 1e6 for ns in run.inferences.duration_ns]
    axis.scatter(begin, took, c=run.inferences.stage, cmap="viridis", s=7)
    axis.set(xlabel="ms since the app wanted an answer", ylabel="latency, ms", ylim=(0, None))
    axis.set_title("color: stage; shaded: a block loads in the background", fontsize=9)
    return _svg(figure)


def _figure(columns: int, height: float) -> tuple[Figure, list[Axes]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.6, height), layout="constrained")
    axes = figure.subplots(1, columns, squeeze=False)[0]
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(axis="y", color="#d0d7de", linewidth=0.6)
        axis.set_axisbelow(True)
    return figure, list(axes)


def _svg(figure: Figure) -> str:
    import matplotlib

    buffer = io.StringIO()
    # Fixed salt and no date: the same report gives the same picture.
    with matplotlib.rc_context({"svg.hashsalt": "pwl", "svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]
