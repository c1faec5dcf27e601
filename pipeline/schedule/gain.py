"""What a step from one stage to the next gains, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.core.intervals import paired_difference

Correct = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Gain:
    """A difference of two accuracies on the same images, as a share, with its 95 % interval.

    See `paired_difference`.

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
        return cls(*paired_difference(before, after))

    @property
    def pays(self) -> bool:
        """Whether it is more than its uncertainty."""
        return self.low > 0
