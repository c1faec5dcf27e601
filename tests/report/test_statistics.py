from __future__ import annotations

import random

from pipeline.report.statistics import Estimate, paired_ratios, significantly_greater


def test_the_interval_of_nine_samples_is_their_second_and_eighth() -> None:
    estimate = Estimate.of([5.0, 1.0, 9.0, 3.0, 7.0, 2.0, 8.0, 4.0, 6.0])
    assert (estimate.median, estimate.low, estimate.high, estimate.count) == (5, 2, 8, 9)


def test_few_samples_give_their_whole_range() -> None:
    assert Estimate.of([3.0, 1.0, 2.0]) == Estimate(2.0, 1.0, 3.0, 3)
    assert Estimate.of([4.0]) == Estimate(4.0, 4.0, 4.0, 1)


def test_one_outlier_does_not_move_the_interval() -> None:
    samples = [float(value) for value in range(15)]
    assert Estimate.of(samples) == Estimate.of([*samples[:-1], 1e9])


def test_the_interval_covers_the_true_median_as_often_as_it_says() -> None:
    draw = random.Random(0)
    covered = 0
    for _ in range(400):
        estimate = Estimate.of([draw.expovariate(1.0) for _ in range(15)])
        covered += estimate.low <= 0.6931 <= estimate.high
    assert covered / 400 > 0.93


def test_ratios_are_taken_within_rounds() -> None:
    # The second round ran on a machine half as fast; the ratio does not notice.
    assert paired_ratios({0: 1.0, 1: 2.0, 3: 5.0}, {0: 4.0, 1: 8.0, 2: 9.0}) == {0: 0.25, 1: 0.25}


def test_significance_needs_a_shift_not_noise() -> None:
    draw = random.Random(0)
    one = [draw.gauss(10, 1) for _ in range(15)]
    same = [draw.gauss(10, 1) for _ in range(15)]
    assert not significantly_greater(one, same)
    assert significantly_greater([value + 3 for value in one], same)
    assert not significantly_greater(same, [value + 3 for value in one])
