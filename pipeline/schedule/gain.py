"""What a step from one stage to the next gains, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.proportion import wilson_interval

Correct = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Gain:
    """A difference of two accuracies on the same images, as a share, with its 95 % interval.

    Only images that one of the two gets right and the other wrong say anything (McNemar, 1947): the
    interval is the Wilson interval of the share of these that the later one gets right.

    Attributes:
        value: later accuracy minus earlier.
        low: lower end of the interval.
        high: upper end.
    """

    value: float
    low: float
    high: float

    @classmethod
    def between(cls, before: Correct, after: Correct) -> Gain:
        """Compares which images two stages get right, both ``[n]``."""
        won, lost = int((after & ~before).sum()), int((before & ~after).sum())
        differing = won + lost
        if not differing:
            return cls(0.0, 0.0, 0.0)
        low, high = wilson_interval(won, differing)
        share = differing / len(before)
        return cls((won - lost) / len(before), (2 * low - 1) * share, (2 * high - 1) * share)

    @property
    def pays(self) -> bool:
        """Whether it is more than its uncertainty."""
        return self.low > 0
