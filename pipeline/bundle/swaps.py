"""Which artifacts each stage loads and lets go. Free of torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Swap:
    """What changes from one stage to the next, as artifact ids in execution order."""

    units: tuple[str, ...]
    loads: tuple[str, ...]
    unloads: tuple[str, ...]


def swaps(chains: Sequence[Sequence[str]]) -> list[Swap]:
    """The swaps through some chains of artifacts, the first from nothing.

    An artifact that a later stage uses again after a pause is loaded again.
    """
    found: list[Swap] = []
    before: tuple[str, ...] = ()
    for chain in chains:
        units = tuple(chain)
        loads = tuple(unit for unit in units if unit not in before)
        unloads = tuple(unit for unit in before if unit not in units)
        found.append(Swap(units, loads, unloads))
        before = units
    return found
