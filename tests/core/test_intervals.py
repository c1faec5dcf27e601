from __future__ import annotations

import pytest
from scipy.stats import binomtest

from pipeline.core.intervals import wilson_interval


@pytest.mark.parametrize(
    ("successes", "trials"), [(0, 1), (1, 1), (0, 40), (40, 40), (61, 597), (9_999, 10_000)]
)
def test_the_interval_is_the_one_that_scipy_computes(successes: int, trials: int) -> None:
    expected = binomtest(successes, trials).proportion_ci(method="wilson")
    assert wilson_interval(successes, trials) == pytest.approx((expected.low, expected.high))
