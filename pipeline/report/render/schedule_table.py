"""Why a bundle has the stages that it has, as rows and as a table of 100 columns."""

from __future__ import annotations

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pipeline.bundle.schedule import Schedule


def schedule_sentence(choice: Schedule) -> str:
    """Which order was chosen, by what."""
    images = f"{choice.images:,} {'held-out' if choice.held_out else 'test'} images"
    orders = [
        f"{found.order} {'-'.join(map(str, found.blocks))} (mean gain while it loads "
        f"{100 * found.mean_gain:+.2f} points)"
        for found in choice.candidates
    ]
    others = "" if len(orders) == 1 else f", best of {', '.join(orders)}"
    return f"order: {choice.order}{others}; chosen on {images}; costs: {choice.cost_origin}"


def schedule_rows(choice: Schedule) -> list[list[str]]:
    """One row for each stage of the order: route, whether it ships, cost, gain, interval, why."""
    return [
        [
            step.route,
            "ships" if step.shipped else "left out",
            f"{step.cost:.2f}",
            f"{100 * step.gain:+.2f}",
            f"{100 * step.low:+.2f} to {100 * step.high:+.2f}",
            step.why,
        ]
        for step in choice.steps
    ]


def schedule_table(choice: Schedule) -> RenderableType:
    """The sentence and the rows."""
    table = Table(box=box.SIMPLE_HEAD, title="schedule", title_justify="left", pad_edge=False)
    table.add_column("route")
    table.add_column("")
    for name in (f"loads\n{choice.cost_unit}", "gain\npoints", "95 % interval\n"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("why")
    for row in schedule_rows(choice):
        table.add_row(*row)
    return Group(table, Text(schedule_sentence(choice) + "\n"))
