from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pipeline.core.progress import Silent
from pipeline.evaluation.predictions import EvaluatedModel
from pipeline.model.pwl import PwlModel
from pipeline.model.route import Role, Route, UnitId
from pipeline.schedule.choose import choose_schedule
from pipeline.settings import PrecisionSettings, ScheduleSettings, Settings
from pipeline.workflows.schedule_model import scheduled_model
from tests.fixtures import TINY_PROFILE, settings_from

IMAGES = 1000


class Images:
    def __init__(self, labels: Any) -> None:
        self.labels = labels

    def __len__(self) -> int:
        return len(self.labels)


class Model:
    """Says what it is told to, and remembers what it was asked.

    Args:
        units: its units.
        right: how many images each route gets right, by what the model is trained for.
    """

    def __init__(self, units: PwlModel, right: Mapping[str, Mapping[str, int]]) -> None:
        self.model = units
        self.right = right
        self.asked: list[str] = []

    def train_and_evaluate(
        self, train_for: Sequence[Route] | None, routes: Sequence[Route]
    ) -> EvaluatedModel:
        trained_for = "any" if train_for is None else str(train_for[1])
        self.asked.append(trained_for)
        labels = np.ones(IMAGES, np.int64)
        counts = [self.right[trained_for][str(route)] for route in routes]
        rows = np.stack([np.arange(IMAGES) < count for count in counts]).astype(np.uint16)
        dataset: Any = SimpleNamespace(choosing=Images(labels), held_out=None)
        return EvaluatedModel(self.model, dataset, routes, rows, rows)


PREFIX = {"SSS": 800, "TSS": 810, "TTS": 820, "TTT": 950}
SUFFIX = {"SSS": 800, "SST": 850, "STT": 900, "TTT": 950}


@pytest.fixture
def units(tiny_model: EvaluatedModel) -> PwlModel:
    return tiny_model.model


def test_without_a_wish_the_paper_s_order_is_taken(units: PwlModel) -> None:
    model = Model(units, {"TSS": PREFIX})
    chosen = choose_schedule(ScheduleSettings(), model)
    assert [str(route) for route in chosen.routes] == ["SSS", "TSS", "TTS", "TTT"]
    assert chosen.choice.order == "prefix"
    assert set(model.asked) == {"TSS"}


def test_the_order_with_most_accuracy_while_it_loads_is_chosen(units: PwlModel) -> None:
    model = Model(units, {"TSS": PREFIX, "SST": SUFFIX})
    chosen = choose_schedule(ScheduleSettings(orders=("prefix", "suffix")), model)
    assert [str(route) for route in chosen.routes] == ["SSS", "SST", "STT", "TTT"]
    assert chosen.choice.order == "suffix"
    prefix, suffix = chosen.choice.candidates
    assert suffix.mean_gain > prefix.mean_gain
    assert [str(route) for route in chosen.train_for] == ["SSS", "SST", "STT", "TTT"]


def test_a_worse_student_is_no_gain(units: PwlModel) -> None:
    # Trained for itself: each step of it gains more, and it is worse at every moment.
    worse = {"SSS": 600, "SST": 700, "STT": 800, "TTT": 950}
    model = Model(units, {"TSS": PREFIX, "SST": worse})
    choice = choose_schedule(ScheduleSettings(orders=("prefix", "suffix")), model).choice
    assert choice.order == "prefix"
    prefix, suffix = choice.candidates
    assert suffix.mean_gain < 0 < prefix.mean_gain


def test_of_equal_orders_the_one_with_fewer_stages_is_chosen(units: PwlModel) -> None:
    # Four images more for the short time before the first block arrives, the last to do so.
    winding = {"SSS": 900, "SST": 900, "STT": 904, "TTT": 904}
    straight = {"SSS": 900, "TSS": 900, "TTS": 900, "TTT": 904}
    model = Model(units, {"SST": winding, "TSS": straight})
    chosen = choose_schedule(ScheduleSettings(orders=("suffix", "prefix")), model)
    assert [candidate.stages for candidate in chosen.choice.candidates] == [3, 2]
    assert chosen.choice.order == "prefix"


@pytest.mark.parametrize(("more", "order"), [(12, "suffix"), (1, "prefix")])
def test_a_difference_below_a_tenth_of_a_point_is_none(
    more: int, order: str, units: PwlModel
) -> None:
    flat = dict.fromkeys(PREFIX, 900)
    raised = dict.fromkeys(SUFFIX, 900) | {"SST": 900 + more}  # for a part of the time
    model = Model(units, {"TSS": flat, "SST": raised})
    settings = ScheduleSettings(orders=("prefix", "suffix"), stages="all")
    assert choose_schedule(settings, model).choice.order == order


def test_the_model_serves_the_stages_that_are_merged_too(units: PwlModel) -> None:
    model = Model(units, {"TSS": {"SSS": 800, "TSS": 800, "TTS": 900, "TTT": 950}})
    chosen = choose_schedule(ScheduleSettings(), model)
    assert [str(route) for route in chosen.routes] == ["SSS", "TTS", "TTT"]
    assert [str(route) for route in chosen.train_for] == ["SSS", "TSS", "TTS", "TTT"]


def test_largest_goes_by_the_bytes_that_ship(units: PwlModel) -> None:
    sizes = [units.sizes()[UnitId(Role.TEACHER, block)] for block in range(3)]
    assert sizes[1] > sizes[2] > sizes[0]
    assert sizes[2] > sizes[1] / 4
    right = {"SSS": 1, "STS": 2, "SST": 2, "STT": 3, "TST": 3, "TTT": 4}
    model = Model(units, {"STS": right, "SST": right})
    settings = ScheduleSettings(orders=("largest",), stages="all")
    assert choose_schedule(settings, model).choice.candidates[0].blocks == (1, 2, 0)
    int8 = PrecisionSettings(teacher=("fp32", "int8", "fp32"))
    assert choose_schedule(settings, model, int8).choice.candidates[0].blocks[0] == 2


def test_greedy_looks_with_a_model_that_serves_any_route_and_then_trains_for_its_order(
    units: PwlModel,
) -> None:
    words = ("SSS", "TSS", "STS", "SST", "TTS", "TST", "STT", "TTT")
    anything = dict.fromkeys(words, 100) | {"STS": 900, "STT": 950, "TTT": 960}
    own = {"SSS": 800, "STS": 850, "STT": 900, "TTT": 950}
    model = Model(units, {"any": anything, "STS": own})
    chosen = choose_schedule(ScheduleSettings(orders=("greedy",)), model)
    assert [str(route) for route in chosen.routes] == ["SSS", "STS", "STT", "TTT"]
    assert chosen.choice.candidates[0].blocks == (1, 2, 0)
    assert model.asked[-1] == "STS"


def test_contiguous_does_not_gain_by_loading_for_longer() -> None:
    roles = (Role.TEACHER, Role.STUDENT)
    sizes = {UnitId(role, index): 1_000_000 for role in roles for index in (0, 1)}
    sizes |= {UnitId(Role.ENCODER, 0): 1_000_000, UnitId(Role.DECODER, 0): 0}
    units: Any = SimpleNamespace(blocks=2, units=lambda route: route.units(), sizes=lambda: sizes)
    # From the first block: half of all is missing for 2 MB, nothing for 1 (a third on average).
    # From the last one: half is missing for 1 MB, 0.4 for 1 (more on average, for a shorter time).
    right = {"SS": 500, "TS": 1000, "ST": 600, "TT": 1000}
    model = Model(units, {"any": right, "ST": right, "TS": right})
    choice = choose_schedule(ScheduleSettings(orders=("contiguous",)), model).choice
    assert choice.candidates[0].blocks == (1, 0)


def test_greedy_prefers_the_smaller_of_two_losses_however_dear_the_other(
    units: PwlModel,
) -> None:
    # The last block is the dearest to load, and loses most, though least for each byte.
    words = ("SSS", "TSS", "STS", "SST", "TTS", "TST", "STT", "TTT")
    anything = dict.fromkeys(words, 100) | {"SSS": 900, "TSS": 890, "TTS": 880, "TTT": 950}
    anything["SST"] = 889
    own = {"SSS": 900, "TSS": 890, "TTS": 880, "TTT": 950}
    model = Model(units, {"any": anything, "TSS": own})
    chosen = choose_schedule(ScheduleSettings(orders=("greedy",)), model)
    assert chosen.choice.candidates[0].blocks == (0, 1, 2)


@pytest.mark.parametrize("recipe", ["joint", "reference"])
def test_a_profile_with_other_orders_is_trained_scheduled_and_evaluated(
    recipe: str, tmp_path: Path
) -> None:
    text = TINY_PROFILE.replace('recipe = "joint"', f'recipe = "{recipe}"')
    text = text.replace('stages = "all"', 'orders = ["suffix", "greedy", "contiguous"]')
    settings = settings_from(text, tmp_path)
    scheduled = scheduled_model(settings, tmp_path / "cache", Silent(), [Route.parse("STS")])
    found, choice = scheduled.evaluated, scheduled.choice
    assert [candidate.order for candidate in choice.candidates] == list(settings.schedule.orders)
    shipped = [str(route) for route in scheduled.shipped]
    assert shipped == ["SSS", *(step.route for step in choice.steps if step.shipped)]
    assert set(scheduled.shipped) <= set(found.routes)
    assert Route.parse("STS") in found.routes
    assert len(found.accuracy) == len(found.routes)
    # joint trains once for each order and once to look; the published recipe train_for any order
    models = len(list((tmp_path / "cache" / "training").glob("model-*")))
    orders = len({candidate.blocks for candidate in choice.candidates})
    assert models == (1 if recipe == "reference" else 1 + orders)


def test_images_held_out_choose_and_are_not_trained_on(
    tiny_settings: Settings, tmp_path: Path
) -> None:
    schedule = ScheduleSettings(held_out=97)
    settings = tiny_settings.model_copy(update={"schedule": schedule})
    scheduled = scheduled_model(settings, tmp_path, Silent())
    assert scheduled.choice.held_out
    assert scheduled.choice.images == 97
    assert len(scheduled.evaluated.dataset.train) == 1797 - 1500 - 97


def test_the_teacher_s_blocks_may_arrive_twice(units: PwlModel) -> None:
    right = {"SSS": 800, "tSS": 850, "ttS": 900, "ttt": 940, "Ttt": 940, "TTt": 940, "TTT": 950}
    model = Model(units, {"tSS": right})
    ladder = PrecisionSettings().planned("S8->T8->T32")
    chosen = choose_schedule(ScheduleSettings(), model, ladder)
    assert [str(route) for route in chosen.routes] == ["SSS", "tSS", "ttS", "ttt", "TTT"]
    assert [str(route) for route in chosen.train_for] == [*right]
    whole = sum(size for unit, size in units.sizes().items() if unit.role is Role.TEACHER)
    assert chosen.choice.steps[-1].cost == pytest.approx(whole / 1e6)
    first = units.sizes()[UnitId(Role.TEACHER, 0)] / 4 + units.sizes()[UnitId(Role.ENCODER, 0)]
    assert chosen.choice.steps[0].cost == pytest.approx(first / 1e6)


def test_int8_blocks_weigh_a_quarter(units: PwlModel) -> None:
    def costs(precision: PrecisionSettings) -> list[float]:
        chosen = choose_schedule(ScheduleSettings(), Model(units, {"TSS": PREFIX}), precision)
        return [step.cost for step in chosen.choice.steps]

    plain = costs(PrecisionSettings())
    first, _, last = costs(PrecisionSettings(teacher=("fp32", "fp32", "int8")))
    assert first == plain[0]
    assert last == pytest.approx(plain[2] / 4, abs=1e-5)
