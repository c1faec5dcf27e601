"""Medians with intervals that assume nothing about the shape of a distribution."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

CONFIDENCE = 0.95
#: The median lies between all of five samples with a probability of 1 - 2 * 0.5^5 = 0.94 only.
FEWEST = 6


@dataclass(frozen=True, slots=True)
class Estimate:
    """A median and its 95 % interval; the interval is the whole range where samples are few.

    Attributes:
        median: of the samples.
        low: lower end of the interval.
        high: upper end of the interval.
        count: number of samples.
    """

    median: float
    low: float
    high: float
    count: int

    @classmethod
    def of(cls, samples: Sequence[float]) -> Estimate:
        """The median, and the interval between two order statistics (`scipy.stats.quantile_test`).

        Args:
            samples: at least one. Fewer than six give no 95 % interval; their range stands for it.
        """
        if len(samples) < FEWEST:
            return cls(median(samples), min(samples), max(samples), len(samples))
        from scipy.stats import quantile_test

        interval = quantile_test(samples, p=0.5).confidence_interval(CONFIDENCE)
        return cls(median(samples), float(interval.low), float(interval.high), len(samples))


def paired_ratios(
    numerator: Mapping[int, float], denominator: Mapping[int, float]
) -> dict[int, float]:
    """The ratio within each round that has both: what drifts from round to round cancels out.

    Empty where a denominator is 0: the rounds that are left would not stand for all.
    """
    shared = sorted(numerator.keys() & denominator.keys())
    if any(denominator[number] == 0 for number in shared):
        return {}
    return {number: numerator[number] / denominator[number] for number in shared}


def significantly_greater(samples: Sequence[float], others: Sequence[float]) -> bool:
    """Whether `samples` tend to be greater (Mann-Whitney U, one-sided, alpha 0.05)."""
    from scipy.stats import mannwhitneyu

    result = mannwhitneyu(samples, others, alternative="greater")
    return bool(result.pvalue < 1 - CONFIDENCE)
