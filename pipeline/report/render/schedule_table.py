"""Why a bundle has the stages that it has, as rows and as a table of 100 columns."""

from __future__ import annotations

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pipeline.bundle.schedule import PlanChoice, Schedule
from pipeline.model.route import Variant
from pipeline.settings import TaskMetric


def schedule_sentence(choice: Schedule, metric: TaskMetric) -> str:
    """Which order was chosen, by what, and which precision."""
    images = f"{choice.images:,} {'held-out' if choice.held_out else 'test'} images"
    orders = [
        f"{found.order} {'-'.join(map(str, found.blocks))} (mean gain while it loads "
        f"{metric.difference(found.mean_gain)} {metric.step})"
        for found in choice.candidates
    ]
    others = "" if len(orders) == 1 else f", best of {', '.join(orders)}"
    sentence = f"order: {choice.order}{others}; chosen on {images}; costs: {choice.cost_origin}"
    if any(Variant.TEACHER_INT8 in step.route for step in choice.steps):
        sentence += "; t: a block of the teacher in int8, which arrives in float32 later"
    return f"{sentence}; {_plan(choice.precision, metric)}" if choice.precision else sentence


def _plan(choice: PlanChoice, metric: TaskMetric) -> str:
    """Which precision plan was taken, by which two numbers."""
    plain = metric.value(choice.fp32_top1)
    sentence = f"precision: {choice.taken}, {choice.why} (student in float32 {plain}"
    if (int8 := choice.int8) is None:
        return f"{sentence})"
    low, high = metric.difference(int8.low), metric.difference(int8.high)
    return f"{sentence}, in int8 {metric.value(int8.top1)}, {low} to {high} {metric.step})"


def schedule_rows(choice: Schedule, metric: TaskMetric) -> list[list[str]]:
    """One row for each stage of the order: route, whether it ships, cost, gain, interval, why."""
    return [
        [
            step.route,
            "ships" if step.shipped else "left out",
            f"{step.cost:.2f}",
            metric.difference(step.gain),
            f"{metric.difference(step.low)} to {metric.difference(step.high)}",
            step.why,
        ]
        for step in choice.steps
    ]


def schedule_table(choice: Schedule, metric: TaskMetric) -> RenderableType:
    """The sentence and the rows."""
    table = Table(box=box.SIMPLE_HEAD, title="schedule", title_justify="left", pad_edge=False)
    table.add_column("route")
    table.add_column("")
    for name in (f"loads\n{choice.cost_unit}", f"gain\n{metric.step}", "95 % interval\n"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("why")
    for row in schedule_rows(choice, metric):
        table.add_row(*row)
    return Group(table, Text(schedule_sentence(choice, metric) + "\n"))
