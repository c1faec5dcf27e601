"""The plots of a report, as SVG text."""

from __future__ import annotations

import io
from itertools import cycle
from statistics import median
from typing import TYPE_CHECKING

from pipeline.report.arms import accuracy_of, arm_names
from pipeline.report.metric_samples import PHASES
from pipeline.report.render.tables import states_of
from pipeline.report.schema import Report
from pipeline.settings import PROGRESSIVE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS = ("#1f6feb", "#2da44e", "#d1690e", "#8250df", "#bf3989", "#6e7781", "#0550ae", "#7d4e00")
_PHASE_COLORS = ("#8c959f", "#54aeff", "#e16f24", "#bf8700", "#4ac26b", "#0969da", "#8250df")


def arm_colors(report: Report) -> dict[str, str]:
    """A color for each arm, the progressive one first: the same in every plot."""
    return dict(zip(arm_names(report.bundle), cycle(COLORS), strict=False))


def arm_title(arm: str) -> str:
    """What plots call an arm."""
    return "progressive" if arm == PROGRESSIVE else f"{arm} only"


def curve(report: Report) -> str:
    """Accuracy over the time since the app wanted an answer: progressive against the monoliths."""
    states = states_of(report)
    figure, axes = new_figure(len(states), 2.9)
    accuracy = [100 * stage.top1 for stage in report.stages]
    low, high = ([100 * getattr(stage, end) for stage in report.stages] for end in ("low", "high"))
    least = min([*low, *(100 * accuracy_of(arm, report) for arm in report.bundle.arms)])
    floor = least - 0.6 * (max(high) - least)
    colors = arm_colors(report)
    for axis, state in zip(axes, states, strict=True):
        reached = [
            report.metrics[f"time_to_stage_ms.{stage.index}.{state}"].median
            for stage in report.stages
        ]
        alone = {
            arm: report.metrics[f"ttfi_ms.{arm.name}.{state}"].median for arm in report.bundle.arms
        }
        end = 1.15 * max([*reached, *alone.values()])
        for arm, at in alone.items():
            value = 100 * accuracy_of(arm, report)
            label, color = arm_title(arm.name), colors[arm.name]
            axis.plot([at, at, end], [floor, value, value], color=color, label=label)
        axis.plot(
            [reached[0], *reached, end],
            [floor, *accuracy, accuracy[-1]],
            drawstyle="steps-post",
            color=colors[PROGRESSIVE],
            linewidth=2.2,
            label=arm_title(PROGRESSIVE),
        )
        axis.plot(reached, accuracy, "o", color=colors[PROGRESSIVE], markersize=5)
        axis.fill_between(
            [*reached, end],
            [*low, low[-1]],
            [*high, high[-1]],
            step="post",
            color=colors[PROGRESSIVE],
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
    return as_svg(figure)


def phases(report: Report) -> str:
    """Time to first inference of every arm, its phases stacked."""
    states = states_of(report)
    arms = arm_names(report.bundle)
    figure, axes = new_figure(len(states), 1.0 + 0.3 * len(arms))
    for axis, state in zip(axes, states, strict=True):
        for row, arm in enumerate(reversed(arms)):
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
        axis.set_yticks(range(len(arms)), [arm_title(arm) for arm in reversed(arms)])
        axis.set(title=f"{state} start", xlabel="ms")
        axis.margins(x=0.16)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, ncols=len(PHASES), loc="outside lower center", fontsize=8)
    return as_svg(figure)


def memory(report: Report) -> str:
    """Resident memory at every stage, beside the peaks of the arms."""
    figure, (axis,) = new_figure(1, 2.6)
    colors = arm_colors(report)
    measured = [report.metrics.get(f"stage_rss_mb.{stage.index}") for stage in report.stages]
    values = [metric.median if metric else 0.0 for metric in measured]  # 0: the device does not say
    labels = [f"{stage.index}\n{stage.route}" for stage in report.stages]
    bars = axis.bar(labels, values, color=colors[PROGRESSIVE], width=0.55)
    axis.bar_label(bars, fmt="%.1f", fontsize=8)
    state = states_of(report)[-1]
    for arm, color in colors.items():
        metric = report.metrics.get(f"peak_rss_mb.{arm}.{state}")
        if metric is None:
            continue
        peak = metric.median
        axis.axhline(peak, color=color, linestyle="--", linewidth=1)
        axis.annotate(
            f"peak, {arm_title(arm)}: {peak:.1f}",
            (1.01, peak),
            xycoords=("axes fraction", "data"),
            va="center",
            annotation_clip=False,
            fontsize=8,
            color=color,
        )
    axis.set(xlabel="stage", ylabel="resident MB")
    axis.margins(y=0.2)
    return as_svg(figure)


def timeline(report: Report) -> str:
    """Every inference of one run that stays at each stage for a while, and when blocks loaded."""
    figure, (axis,) = new_figure(1, 2.6)
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
    return as_svg(figure)


def new_figure(columns: int, height: float) -> tuple[Figure, list[Axes]]:
    """A figure as wide as a page, of so many axes beside each other; its height in inches."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.6, height), layout="constrained")
    axes = figure.subplots(1, columns, squeeze=False)[0]
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(axis="y", color="#d0d7de", linewidth=0.6)
        axis.set_axisbelow(True)
    return figure, list(axes)


def as_svg(figure: Figure) -> str:
    """A figure as the text of an SVG element; the same figure gives the same text."""
    import matplotlib

    buffer = io.StringIO()
    # Fixed salt and no date: the same report gives the same picture.
    with matplotlib.rc_context({"svg.hashsalt": "pwl", "svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]
