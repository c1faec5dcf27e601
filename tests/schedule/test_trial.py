from __future__ import annotations

import numpy as np
import pytest

from pipeline.evaluation.label_scores import Scores
from pipeline.model.route import Role, Route, UnitId
from pipeline.schedule.gain import Gain
from pipeline.schedule.load_times import by_bytes
from pipeline.schedule.trial import Costs, Trial, try_order

IMAGES = 1000
SIZES = {
    UnitId(role, index): size
    for role, size in (
        *((Role.TEACHER, 1_000_000), (Role.TEACHER_INT8, 250_000)),
        (Role.STUDENT, 100_000),
    )
    for index in range(3)
} | {UnitId(role, i): 0 for role in (Role.ENCODER, Role.DECODER) for i in range(2)}
COSTS = Costs(lambda route: route.units(), by_bytes(SIZES))


def first(count: int) -> Scores:
    """The first so many images are right."""
    return np.arange(IMAGES) < count


def trial(counts: dict[str, int], *, everything: bool = False) -> Trial:
    correct = {Route.parse(word): first(count) for word, count in counts.items()}
    return try_order("prefix", (0, 1, 2), correct, COSTS, everything=everything)


def shipped(found: Trial) -> list[str]:
    return [str(route) for route in found.routes]


def test_a_gain_counts_only_images_on_which_the_two_differ() -> None:
    before, after = np.zeros(100, bool), np.zeros(100, bool)
    before[:52] = True
    after[2:62] = True  # 2 lost, 10 won
    gain = Gain.between(before, after)
    assert gain.value == pytest.approx(0.08)
    # Wilson (1927) for 10 of 12: 0.5520, 0.9530; times 12 of 100 images, from -1 to 1
    assert gain.low == pytest.approx((2 * 0.5520 - 1) * 0.12, abs=1e-4)
    assert gain.high == pytest.approx((2 * 0.9530 - 1) * 0.12, abs=1e-4)
    assert gain.pays


def test_no_difference_is_no_gain() -> None:
    same = first(50)
    assert Gain.between(same, same) == Gain(0.0, 0.0, 0.0)
    assert not Gain.between(same, same).pays


def test_stages_that_pay_ship() -> None:
    found = trial({"SSS": 800, "TSS": 850, "TTS": 900, "TTT": 950})
    assert shipped(found) == ["SSS", "TSS", "TTS", "TTT"]
    assert [step.shipped for step in found.steps] == [True, True, True]
    assert [step.gain for step in found.steps] == pytest.approx([0.05, 0.05, 0.05])
    assert [step.cost for step in found.steps] == pytest.approx([1.0, 1.0, 1.0])


def test_a_stage_within_its_uncertainty_is_merged_with_the_next() -> None:
    found = trial({"SSS": 800, "TSS": 802, "TTS": 900, "TTT": 950})
    assert shipped(found) == ["SSS", "TTS", "TTT"]
    merged, after, _ = found.steps
    assert not merged.shipped
    assert merged.why == "no better than its uncertainty: merged with the next"
    # the next one is compared with, and loads after, the stage that ships before it
    assert after.gain == pytest.approx(0.1)
    assert after.cost == pytest.approx(2.0)


def test_a_stage_that_is_worse_says_so() -> None:
    found = trial({"SSS": 800, "TSS": 700, "TTS": 900, "TTT": 950})
    assert shipped(found) == ["SSS", "TTS", "TTT"]
    assert found.steps[0].why == "worse than the stage before: merged with the next"


def test_the_teacher_ships_even_if_it_gains_nothing() -> None:
    found = trial({"SSS": 900, "TSS": 900, "TTS": 900, "TTT": 900})
    assert shipped(found) == ["SSS", "TTT"]
    assert found.steps[-1].why == "the whole teacher"


def test_every_stage_ships_when_asked_for() -> None:
    found = trial({"SSS": 900, "TSS": 800, "TTS": 700, "TTT": 900}, everything=True)
    assert shipped(found) == ["SSS", "TSS", "TTS", "TTT"]


def test_a_step_that_exchanges_a_precision_is_weighed_like_any_other() -> None:
    counts = {"SSS": 800, "tSS": 850, "ttS": 900, "ttt": 930, "Ttt": 931, "TTt": 945, "TTT": 945}
    found = trial(counts)
    assert shipped(found) == ["SSS", "tSS", "ttS", "ttt", "TTt", "TTT"]
    *_, merged, pays, last = found.steps
    assert merged.why == "no better than its uncertainty: merged with the next"
    assert pays.why == "gains more than its uncertainty"
    assert pays.cost == pytest.approx(2.0)
    assert (last.why, last.gain) == ("the whole teacher", 0)
    assert found.cost == pytest.approx(3 * 0.25 + 3)


def test_a_teacher_that_gains_nothing_in_int8_arrives_once() -> None:
    counts = {"SSS": 900, "tSS": 900, "ttS": 890, "ttt": 900, "Ttt": 900, "TTt": 900, "TTT": 950}
    assert shipped(trial(counts)) == ["SSS", "TTT"]


def test_the_mean_gain_weighs_each_stage_by_how_long_it_serves() -> None:
    found = trial({"SSS": 800, "TSS": 850, "TTS": 900, "TTT": 950})
    assert found.cost == pytest.approx(3.0)
    # nothing for 1 MB, +5 points for 1, +10 for 1, then +15 until the end
    assert found.mean_gain(3.0) == pytest.approx(0.05)
    assert found.mean_gain(4.0) == pytest.approx((0.05 + 0.10 + 0.15) / 4)


def test_cosines_may_gain_more_than_one() -> None:
    words = ("SSS", "TSS", "TTS", "TTT")
    scores = dict(zip(map(Route.parse, words), np.linspace([-0.7] * 9, [1.0] * 9, 4), strict=True))
    scores[Route.parse("TTT")] = np.ones(9)
    found = try_order("prefix", (0, 1, 2), scores, COSTS, everything=False)
    assert shipped(found) == [*words]
    two = {route: row for route, row in scores.items() if str(route) in ("SSS", "TTT")}
    (step,) = try_order("prefix", (0, 1, 2), two, COSTS, everything=False).steps
    assert step.gain == pytest.approx(1.7)
