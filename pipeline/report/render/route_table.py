"""The accuracy of a model's routes as a table for a terminal of 100 columns."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table

from pipeline.report.render.terminal import table_console

if TYPE_CHECKING:
    from pipeline.evaluation.predictions import EvaluatedModel
    from pipeline.model.route import Route


def print_routes(title: str, evaluated: EvaluatedModel, shipped: Collection[Route]) -> None:
    """Prints `route_table` on stdout, never wider than 100 columns."""
    console = table_console()
    console.print(route_table(title, evaluated, shipped))


def route_table(title: str, evaluated: EvaluatedModel, shipped: Collection[Route]) -> Table:
    """Top-1 accuracy with its 95 % interval, and balanced accuracy, one line a route; of label maps
    both of pixels, and mean IoU.
    """
    accuracy, classes = evaluated.accuracy, evaluated.class_scores
    metric, embeds = evaluated.dataset.metric, evaluated.dataset.embeds
    maps = bool(evaluated.dataset.map_size)
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False)
    table.add_column("route")
    of = (metric.column, *(("mean IoU",) if maps else ()))
    more = () if embeds else ("balanced", "correct of")
    for name in ("from the teacher", *of, "95 % interval", *more):
        table.add_column(name, justify="right")
    table.add_column("")
    scores = [
        (f"{each.balanced:.1%}", f"{found.correct:,} / {found.pixels or found.images:,}")
        for found, each in zip(accuracy, classes, strict=not embeds)
    ]
    for index, (route, found) in enumerate(zip(evaluated.routes, accuracy, strict=True)):
        table.add_row(
            str(route),
            f"{str(route).count('T')}/{len(route)}",
            metric.value(found.top1),
            *((f"{classes[index].mean_iou:.1%}",) if maps else ()),
            metric.interval(found.low, found.high),
            *(() if embeds else scores[index]),
            "ships" if route in shipped else "",
        )
    return table
