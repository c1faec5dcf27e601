"""What each arm costs, beside the others: first answers by phase, steady latency, memory."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.core.formatting import milliseconds
from pipeline.report.arms import arm_names
from pipeline.report.metric_names import states_in
from pipeline.report.metric_samples import PARTS, PHASES
from pipeline.report.render.bars import Bar, BarPart, bars_panel
from pipeline.report.render.curve import arm_colors, arm_keys, arm_title
from pipeline.report.render.palette import SERIES, Color
from pipeline.report.render.panel import Key, Panel, Plot
from pipeline.report.schema import Metric, Report
from pipeline.settings import PROGRESSIVE

#: Label, color and metric.
_Row = tuple[str, Color, str]
#: In the order of `PHASES`.
_PHASE_COLORS = tuple(SERIES[index] for index in (5, 6, 2, 7, 1, 0, 3))


def phases_plot(report: Report) -> Plot:
    """Time to first inference of every arm, its phases one after the other: a panel a state."""
    colors = dict(zip(PHASES, _PHASE_COLORS, strict=True))
    panels = [_first_answers(report, state, colors) for state in states_in(report.metrics)]
    return Plot(tuple(panels), tuple(Key(color, phase) for phase, color in colors.items()))


def _first_answers(report: Report, state: str, colors: dict[str, Color]) -> Panel:
    bars: list[Bar] = []
    for arm in arm_names(report.bundle):
        whole = report.metrics[f"ttfi_ms.{arm}.{state}"]
        taken = {
            phase: report.metrics[f"phase_ms.{arm}.{state}.{phase}"].median for phase in PHASES
        }
        parts = [
            BarPart(length, colors[phase], f"{arm_title(arm)}, {phase}: {milliseconds(length)} ms")
            for phase, length in taken.items()
        ]
        label = f"{arm_title(arm)}: {milliseconds(whole.median)} ms"
        bars.append(Bar(label, tuple(parts), (whole.low, whole.high)))
    return bars_panel(f"phases-{state}", f"{state} start", "ms to the first answer", bars)


def latency_plot(report: Report) -> Plot:
    """Steady latency of every stage and control arm, and what swaps do to it."""
    colors = arm_colors(report.bundle)
    color = colors[PROGRESSIVE]
    steady = [
        (f"stage {stage.index}, {stage.route}", color, f"latency_ms.stage-{stage.index}")
        for stage in report.stages
    ]
    steady += [
        (arm_title(arm.name), colors[arm.name], f"latency_ms.{arm.name}")
        for arm in report.bundle.arms
    ]
    swaps: list[_Row] = []
    for stage in report.stages[1:]:
        during = f"stage {stage.index} loads, worst meanwhile"
        swaps.append((during, color, f"latency_during_load_ms.{stage.index}"))
        first = f"stage {stage.index}, first inference"
        swaps.append((first, color, f"first_after_swap_ms.{stage.index}"))
    panels = [_medians(report, "latency", "Steady latency", "ms", steady)]
    if swaps:
        panels.append(_medians(report, "swaps", "Around swaps", "ms", swaps))
    return Plot(tuple(panels), arm_keys(report.bundle))


def memory_plot(report: Report) -> Plot:
    """The peak of every arm, and resident memory once each stage serves."""
    state = states_in(report.metrics)[-1]
    peaks = [
        (arm_title(arm), color, f"peak_rss_mb.{arm}.{state}")
        for arm, color in arm_colors(report.bundle).items()
    ]
    stages = [
        (f"stage {stage.index}, {stage.route}", SERIES[0], f"stage_rss_mb.{stage.index}")
        for stage in report.stages
    ]
    panels = (
        _medians(report, "peaks", f"Peak, {state} start", "MB", peaks),
        _medians(report, "memory", "At each stage", "MB", stages),
    )
    return Plot(panels, arm_keys(report.bundle))


def memory_parts_plot(report: Report) -> Plot | None:
    """What the highest memory of every arm is made of; None where the device does not say."""
    # All but the whole.
    colors = dict(zip(PARTS, (SERIES[each] for each in (0, 2, 1, 5)), strict=False))
    bars: list[Bar] = []
    for arm in arm_names(report.bundle):
        metrics = {part: report.metrics.get(f"peak_part_mb.{arm}.{part}") for part in colors}
        parts = [
            # What was given back meanwhile may make the rest less than nothing.
            BarPart(
                max(0.0, metric.median), colors[part], _label(f"{arm_title(arm)}, {part}", metric)
            )
            for part, metric in metrics.items()
            if metric is not None
        ]
        if len(parts) == len(metrics):
            bars.append(Bar(arm_title(arm), tuple(parts)))
    if not bars:
        return None
    panel = bars_panel("memory-parts", "At its highest, by what it is", "MB", bars)
    return Plot((panel,), tuple(Key(color, part) for part, color in colors.items()))


def _medians(report: Report, name: str, title: str, unit: str, rows: Sequence[_Row]) -> Panel:
    """A bar for each metric that there is."""
    bars: list[Bar] = []
    for label, color, metric_name in rows:
        metric = report.metrics.get(metric_name)
        if metric is None:  # the device does not say
            bars.append(Bar(f"{label}: not metrics", ()))
            continue
        text = _label(label, metric)
        part = BarPart(metric.median, color, text)
        bars.append(Bar(text.partition(" [")[0], (part,), (metric.low, metric.high)))
    return bars_panel(name, title, unit, bars)


def _label(label: str, metric: Metric) -> str:
    """A median and its interval in words."""

    def words(number: float) -> str:
        return milliseconds(number) if metric.unit == "ms" else f"{number:.1f}"

    interval = f"{words(metric.low)}-{words(metric.high)}"
    return f"{label}: {words(metric.median)} {metric.unit} [{interval}]"
