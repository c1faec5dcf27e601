"""The ``[runtime]`` table: how the device runs a bundle, and what follows from it elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from pipeline.core.toml_file import Section

Favor = Literal["accuracy", "memory"]


class RuntimeSettings(Section):
    """How the device runs the bundle.

    Attributes:
        threads: of the inference library.
        favor: what rules where not everything can be had. ``memory``: the block with most bytes
            arrives first unless ``schedule.orders`` says otherwise, no program runs before its
            stage serves, ExecuTorch has one workspace for all of them, so that inferences wait
            while weights are packed, and what was freed goes back to the system at once.
    """

    threads: Annotated[int, Field(ge=1, le=64)] = 1
    favor: Favor = "accuracy"


def with_orders_of_favor(tables: object) -> object:
    """The tables of a profile, in which memory's favor has chosen the order that none is given for.

    A Keras model's blocks arrive in the one order that it has.

    Args:
        tables: as they were read; anything else comes back as it is.
    """
    if not isinstance(tables, Mapping):
        return tables
    runtime, schedule, model = (tables.get(name, {}) for name in ("runtime", "schedule", "model"))
    if not all(isinstance(table, Mapping) for table in (runtime, schedule, model)):
        return tables
    keras = str(model.get("source", "")).startswith("keras:")
    if runtime.get("favor") != "memory" or "orders" in schedule or keras:
        return tables
    return {**tables, "schedule": {**schedule, "orders": ("largest",)}}
