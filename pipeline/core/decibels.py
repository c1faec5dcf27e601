"""Decibels: how much louder a signal is than what differs from it."""

from __future__ import annotations

import math

#: They stand for no difference at all, and their negative for nothing but difference.
_MOST = 200.0


def decibels(signal: float, noise: float) -> float:
    """The ratio of two energies in decibels, from -200 to 200; NaN counts as noise without end."""
    if not math.isfinite(noise) or (noise > 0 and signal <= 0):
        return -_MOST
    if noise <= 0:
        return _MOST
    return max(-_MOST, min(_MOST, 10 * math.log10(signal / noise)))
