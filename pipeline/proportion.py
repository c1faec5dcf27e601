"""How sure a share of successes is."""

from __future__ import annotations

import math

#: The standard normal distribution's 97.5 % quantile.
_Z = 1.959963984540054


def wilson_interval(successes: int, trials: int) -> tuple[float, float]:
    """The 95 % Wilson interval of a proportion, as shares (E. B. Wilson, JASA 22, 1927)."""
    share, weight = successes / trials, _Z * _Z / trials
    center = share + weight / 2
    spread = _Z * math.sqrt(share * (1 - share) / trials + weight / (4 * trials))
    low, high = (center - spread) / (1 + weight), (center + spread) / (1 + weight)
    return (low if successes else 0.0), (high if successes < trials else 1.0)
