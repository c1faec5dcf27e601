"""The ``[runtime]`` table: how the device runs a bundle, and what follows from it elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pipeline.core.toml_file import Section

Favor = Literal["accuracy", "memory"]
Loaders = Literal[1, 2, "auto"]


class RuntimeSettings(Section):
    """How the device runs the bundle.

    Attributes:
        threads: of the inference library.
        favor: what rules where not everything can be had. ``memory``: the block with most bytes
            arrives first unless ``schedule.orders`` says otherwise, no program runs before its
            stage serves, ExecuTorch has one workspace for all that have no weight cache, so that
            inferences wait while weights are packed, and what was freed goes back to the system at
            once.
        loaders: threads that load stages. ``2``: while one stage is made ready, the programs of the
            next one are being loaded, which takes a core that nothing else uses; not where memory
            is favored. ``auto``: 2 where the app may run on four processors or more and memory is
            not favored, else 1.
    """

    threads: Annotated[int, Field(ge=1, le=64)] = 1
    favor: Favor = "accuracy"
    loaders: Loaders = 1

    @model_validator(mode="after")
    def _one_loads_where_memory_rules(self) -> Self:
        if self.loaders == 2 and self.favor == "memory":
            raise ValueError(
                'loaders = 2 has two stages in memory that favor = "memory" has one after the '
                'other: take loaders = 1, or favor = "accuracy"'
            )
        return self


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
