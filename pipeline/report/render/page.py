"""What the pages of this folder have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.core.formatting import counted

if TYPE_CHECKING:
    from jinja2 import Environment


def environment() -> Environment:
    """Finds the templates beside this module; what they are given is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    found = Environment(
        loader=PackageLoader("pipeline.report.render", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    found.filters["counted"] = counted
    return found
