"""Whether the ratio of two measured values tells one from the other."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.report.statistics import FEWEST, Estimate


@dataclass(frozen=True, slots=True)
class ComparedRatio:
    """A ratio of two metrics. Its `sign` is -1 where it is below 1, 1 where above, 0 else."""

    estimate: Estimate | None

    @property
    def known(self) -> bool:
        return self.estimate is not None and self.estimate.count >= FEWEST

    def words(self, other: str) -> str:
        """Such as ``0.53 of it``; nothing where nothing was compared."""
        if self.estimate is None:
            return ""
        doubt = "" if self.sign else " (not told apart)"
        return f"{self.estimate.median:.2f} of {other}{doubt}"

    @property
    def number(self) -> str:
        """In few letters, such as ``0.53`` or ``26.4``; empty where nothing was compared."""
        if self.estimate is None:
            return ""
        return f"{self.estimate.median:.{2 if self.estimate.median < 10 else 1}f}"

    @property
    def mark(self) -> str:
        """``+`` where it is below 1, which pays, ``-`` where above, ``=`` else."""
        return "+=-"[self.sign + 1]

    @property
    def sign(self) -> int:
        if self.estimate is None or not self.known:
            return 0
        return (self.estimate.low > 1) - (self.estimate.high < 1)


def ratio_of_sizes(size: int, other: int) -> ComparedRatio:
    """The ratio of two sizes, which are no samples."""
    return ComparedRatio(
        Estimate(size / other, size / other, size / other, FEWEST) if other else None
    )
