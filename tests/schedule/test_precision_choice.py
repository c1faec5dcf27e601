from __future__ import annotations

import numpy as np
import pytest

from pipeline.bundle.schedule import PlanChoice
from pipeline.evaluation.label_scores import Scores
from pipeline.schedule.precision_choice import choose_plan, float32_plan


def right(count: int) -> Scores:
    """The first so many of a thousand images are."""
    return np.arange(1000) < count


@pytest.mark.parametrize(
    ("fp32", "int8", "taken"),
    [
        (900, 900, "S8->T32"),
        (900, 910, "S8->T32"),
        (900, 897, "S8->T32"),  # 0 of 3: within what chance does
        (900, 894, "S32->T32"),  # 0 of 6 is not
    ],
)
def test_an_int8_student_is_taken_unless_it_is_worse_by_more_than_its_uncertainty(
    fp32: int, int8: int, taken: str
) -> None:
    choice = choose_plan(right(fp32), right(int8))
    assert choice.taken == taken
    assert choice.int8 is not None
    assert (choice.fp32_top1, choice.int8.top1) == (fp32 / 1000, int8 / 1000)
    assert choice.int8.low <= (int8 - fp32) / 1000 <= choice.int8.high


@pytest.mark.parametrize(
    ("loss", "taken"), [(0.0, "S8->T32"), (5e-4, "S8->T32"), (2e-3, "S32->T32")]
)
def test_of_embeddings_and_label_maps_a_sure_loss_counts_from_a_thousandth_on(
    loss: float, taken: str
) -> None:
    cosines = np.linspace(0.8, 0.9, 200)
    choice = choose_plan(cosines, cosines - loss - np.linspace(-1e-5, 1e-5, 200))
    assert choice.taken == taken
    assert choice.int8 is not None
    assert (choice.int8.high < 0) == (loss > 0)


def test_where_there_is_none_float32_is_taken_and_it_is_said_why() -> None:
    choice = float32_plan(right(900), "no recipe")
    assert choice == PlanChoice(taken="S32->T32", fp32_top1=0.9, int8=None, why="no recipe")
