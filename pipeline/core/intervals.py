"""How sure a share of successes is, and a difference of two."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

#: The standard normal distribution's 97.5 % quantile.
Z_95 = 1.959963984540054


def wilson_interval(successes: int, trials: int) -> tuple[float, float]:
    """The 95 % Wilson interval of a proportion, as shares (E. B. Wilson, JASA 22, 1927)."""
    share, weight = successes / trials, Z_95 * Z_95 / trials
    center = share + weight / 2
    spread = Z_95 * math.sqrt(share * (1 - share) / trials + weight / (4 * trials))
    low, high = (center - spread) / (1 + weight), (center + spread) / (1 + weight)
    return (low if successes else 0.0), (high if successes < trials else 1.0)


def mean_interval(values: npt.NDArray[np.float64]) -> tuple[float, float]:
    """The 95 % interval of a mean, by the normal distribution: any that there is of one value.

    Args:
        values: one of each trial, ``[n]``.
    """
    count, mean = len(values), float(values.mean())
    if count < 2:
        return -math.inf, math.inf
    spread = Z_95 * float(values.std(ddof=1)) / math.sqrt(count)
    return mean - spread, mean + spread


def paired_difference(
    before: npt.NDArray[np.bool_], after: npt.NDArray[np.bool_]
) -> tuple[float, float, float]:
    """The difference of two shares of successes in the same trials, with its 95 % interval.

    Only trials that one of the two wins and the other loses say anything (McNemar, 1947): the
    interval is the Wilson interval of the share of these that the later one wins.

    Args:
        before: which trials the earlier one wins, ``[n]``.
        after: which the later one wins.

    Returns:
        The later share minus the earlier, the lower and the upper end.
    """
    won, lost = int((after & ~before).sum()), int((before & ~after).sum())
    differing = won + lost
    if not differing:
        return 0.0, 0.0, 0.0
    low, high = wilson_interval(won, differing)
    share = differing / len(before)
    return (won - lost) / len(before), (2 * low - 1) * share, (2 * high - 1) * share
