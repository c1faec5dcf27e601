"""Control arms: what a progressive bundle is measured against, as data. Free of torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.core.errors import UsageError
from pipeline.model.route import Route
from pipeline.settings import PLAIN, ArmSettings, Precision

STUDENT, TEACHER = "student", "teacher"


@dataclass(frozen=True, slots=True)
class ArmSpec:
    """A whole network as one program, as an app ships it that does not load progressively.

    Attributes:
        name: what results call it.
        route: the variant of each block.
        precision: of the program.
    """

    name: str
    route: Route
    precision: Precision = PLAIN


def arms_of(tables: Sequence[ArmSettings], blocks: int) -> tuple[ArmSpec, ...]:
    """The student and the teacher, then what the ``[[arm]]`` tables of a profile add.

    Args:
        tables: of the profile; one that has the name of a default takes its place.
        blocks: of the model.

    Raises:
        UsageError: a route has another number of blocks.
    """
    whole = {STUDENT: Route.prefix(blocks, 0), TEACHER: Route.prefix(blocks, blocks)}
    found = {name: ArmSpec(name, route) for name, route in whole.items()}
    for table in tables:
        route = whole[table.route] if table.route in whole else Route.parse(table.route)
        if len(route) != blocks:
            raise UsageError(
                f"arm {table.name}: route {route} has {len(route)} blocks, the model {blocks}",
                f"write {blocks} letters, such as {Route.prefix(blocks, blocks // 2)}",
            )
        found[table.name] = ArmSpec(table.name, route, table.precision)
    return tuple(found.values())
