"""One metric of two sessions, such as a release and its baseline: nothing pairs their rounds."""

from __future__ import annotations

import math
from typing import Literal

from pipeline.report.schema import Metric
from pipeline.report.statistics import Estimate, significantly_greater

#: What became of a metric from one session to another.
Change = Literal["higher", "lower", "no difference"]


def estimate_of(metric: Metric) -> Estimate:
    """The median and interval of a metric's samples, whatever it says of them itself."""
    return Estimate.of(metric.samples)


def ratio_across(metric: Metric, before: Metric) -> Estimate | None:
    """The widest ratio to an earlier session that both intervals allow.

    None where the earlier median is not above 0. The upper end is infinite where the earlier
    interval holds 0.
    """
    new, old = estimate_of(metric), estimate_of(before)
    if old.median <= 0:
        return None
    return Estimate(
        new.median / old.median,
        new.low / old.high,
        new.high / old.low if old.low > 0 else math.inf,
        new.count,
    )


def shifted_above(metric: Metric, before: Metric, factor: float = 1.0) -> bool:
    """Whether samples lie above `factor` times those of before (median, and Mann-Whitney U)."""
    limits = [each * factor for each in before.samples]
    above = estimate_of(metric).median > estimate_of(before).median * factor
    return above and significantly_greater(metric.samples, limits)


def shifted_below(metric: Metric, before: Metric, factor: float = 1.0) -> bool:
    """Whether samples lie below `factor` times those of before (median, and Mann-Whitney U)."""
    limits = [each * factor for each in before.samples]
    below = estimate_of(metric).median < estimate_of(before).median * factor
    return below and significantly_greater(limits, metric.samples)


def change_of(metric: Metric, before: Metric) -> Change:
    """What a gate over a baseline finds whose limit is 1: that it rose, that it fell, or neither.

    The intervals are apart, or the median moved and Mann-Whitney U finds that significant. Of
    metrics that are 0 or less, for which such a gate takes no ratio, it says the same.
    """
    new, old = estimate_of(metric), estimate_of(before)
    if new.low > old.high or shifted_above(metric, before):
        return "higher"
    if new.high < old.low or shifted_below(metric, before):
        return "lower"
    return "no difference"
