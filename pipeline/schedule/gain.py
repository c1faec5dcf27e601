"""What a step from one stage to the next gains, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.evaluation.label_scores import Scores, score_difference


@dataclass(frozen=True, slots=True)
class Gain:
    """A difference of two accuracies on the same images, as a share, with its 95 % interval.

    See `score_difference`.

    Attributes:
        value: later accuracy minus earlier.
        low: lower end of the interval.
        high: upper end.
    """

    value: float
    low: float
    high: float

    @classmethod
    def between(cls, before: Scores, after: Scores) -> Gain:
        """Compares how good two stages are at the same images, both ``[n]``."""
        return cls(*score_difference(before, after))

    @property
    def pays(self) -> bool:
        """Whether it is more than its uncertainty."""
        return self.low > 0
