"""Intersection over union of what two label maps say, class by class. No numpy here."""

from __future__ import annotations

from collections.abc import Sequence


def overlaps(
    hits: Sequence[int], given: Sequence[int], there: Sequence[int]
) -> tuple[float | None, ...]:
    """That of each class; None of one that is nowhere, nor given.

    Args:
        hits: pixels of each class that are given it.
        given: pixels that are given it.
        there: pixels that have it.
    """
    counts = zip(hits, given, there, strict=True)
    unions = [(hit, said + wanted - hit) for hit, said, wanted in counts]
    return tuple(hit / union if union else None for hit, union in unions)
