"""Shares of channels that may suit all layers of a network where the wanted one does not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from math import gcd

from pipeline.ingest.slim_layers import Layer, widths_of

#: Widths beside the one that is wanted, the nearest first, of which one may suit all layers.
_TRIALS = 24


def shares_near(layers: Sequence[Layer], width: float, of_most: bool) -> Iterator[float]:
    """Shares near a wanted one that leave whole numbers of all channels, or of those that most
    layers have.
    """
    counts = Counter(size for layer in layers for size in widths_of(layer))
    yield from _near(gcd(*counts), width)
    if of_most:
        yield from _near(max(counts, key=counts.__getitem__, default=1), width)


def _near(whole: int, width: float) -> Iterator[float]:
    """Shares of so many channels, the nearest first."""
    near = sorted(range(1, whole), key=lambda kept: abs(kept / whole - width))
    shares = [kept / whole for kept in near[:_TRIALS]]
    yield from (share for share in shares if width / 2 <= share <= 2 * width and share != width)
