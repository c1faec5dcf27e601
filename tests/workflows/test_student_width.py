"""A student as wide as a budget allows, from candidates that are lowered before any training."""

from __future__ import annotations

from pathlib import Path

import pytest
from torch import nn

from pipeline.core.errors import UsageError
from pipeline.core.progress import Silent
from pipeline.core.work import Work
from pipeline.settings import Settings
from pipeline.workflows import student_width
from pipeline.workflows.model_source import ModelSource
from pipeline.workflows.student_width import largest_that_fits
from tests.fixtures import settings_from

MINE = """
from torch import nn
def model():
    body = nn.Conv2d(1, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU()
    return nn.Sequential(*body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10))
"""
PROFILE = """
name = "narrow"
data = { source = "digits", test_images = 1600 }
training.distillation = { recipe = "joint", epochs = 1 }
lowering.backend = "litert"
[model]
source = "python:mine.py:model"
split = ["0", "2"]
student = { from = "teacher", width = "auto", BUDGET }
"""
#: Bytes and milliseconds of a candidate, by its parameters.
OVERHEAD, PACE = 3000, 1e-3


@pytest.mark.parametrize("last", range(-1, 9))
@pytest.mark.parametrize("guess", [0, 4, 8])
def test_the_largest_is_found_whatever_is_guessed(last: int, guess: int) -> None:
    asked: list[int] = []

    def fits(index: int) -> bool:
        asked.append(index)
        return index <= last

    assert largest_that_fits(9, fits, guess) == (last if last >= 0 else None)
    assert len(asked) == len({*asked}) <= 5
    if last == guess:
        assert len(asked) <= 2


def profile(folder: Path, budget: str) -> Settings:
    (folder / "mine.py").write_text(MINE)
    return settings_from(PROFILE.replace("BUDGET", budget), folder)


def source(folder: Path, budget: str) -> ModelSource:
    return ModelSource(profile(folder, budget), Silent(), Work(folder / "cache", Silent(), 1))


@pytest.fixture
def lowerings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Programs as large and slow as they have parameters, which are noted."""
    import pipeline.lowering.first_answer as first_answer

    seen: list[int] = []

    def chain(student: nn.Module, *_: object) -> list[bytes]:
        seen.append(sum(parameter.numel() for parameter in student.parameters()))
        return [bytes(4 * seen[-1] + OVERHEAD)]

    monkeypatch.setattr(first_answer, "lowered_chain", chain)
    monkeypatch.setattr(first_answer, "first_answer_ms", lambda chain, *_: PACE * len(chain[0]))
    return seen


def size(model: nn.Module) -> int:
    return 4 * sum(parameter.numel() for parameter in model.parameters()) + OVERHEAD


def test_the_widest_student_within_a_budget_of_bytes_is_taken(
    lowerings: list[int], tmp_path: Path
) -> None:
    made = source(tmp_path, "budget_bytes = 8000")
    student, choice = made.model.student, made.student_choice()
    assert choice is not None
    assert size(student) <= 8000
    costs = {cost.width: cost.bytes for cost in choice.tried}
    assert costs[choice.width] == size(student)
    assert min(bytes_ for width, bytes_ in costs.items() if width > choice.width) > 8000
    assert {cost.ms for cost in choice.tried} == {None}


def test_what_was_measured_is_not_measured_again(lowerings: list[int], tmp_path: Path) -> None:
    first = source(tmp_path, "budget_ms = 8")
    choice, content = first.student_choice(), first.content()
    assert choice is not None
    assert max(cost.ms or 0 for cost in choice.tried if cost.width <= choice.width) <= 8
    asked = len(lowerings)
    again = source(tmp_path, "budget_ms = 8")
    assert again.student_choice() == choice
    assert again.content() == content  # its random weights, too, are the same
    assert len(lowerings) == asked
    assert source(tmp_path, "budget_ms = 7").student_choice() != choice


def test_a_budget_that_nothing_fits_is_told_with_the_smallest(
    lowerings: list[int], tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=r"no student fits budget_bytes = 100 .* takes 3,\d+ byte"):
        source(tmp_path, "budget_bytes = 100").content()
    with pytest.raises(UsageError, match=r"no student fits budget_ms = 0.5 .* takes 3\.\d+ ms"):
        source(tmp_path, "budget_ms = 0.5").content()


@pytest.mark.parametrize(
    ("budget", "said"),
    [
        ("budget_bytes = 0", "budget_bytes"),
        ("budget_ms = -1", "budget_ms"),
        ("budget_ms = 2, budget_bytes = 9000", "both are given"),
        ("depth = 0.5", "needs one of budget_bytes and budget_ms"),
    ],
)
def test_wrong_budgets_are_refused(budget: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=said):
        profile(tmp_path, budget)


def test_a_budget_beside_a_width_is_refused(tmp_path: Path) -> None:
    text = PROFILE.replace('"auto", BUDGET', "0.5, budget_ms = 2")
    with pytest.raises(UsageError, match='budget_ms is for width = "auto"'):
        settings_from(text, tmp_path)


@pytest.mark.parametrize("width", ["0", "2", "-1", "nan", "true", '"aut"'])
def test_a_width_that_is_none_is_told_once(width: str, tmp_path: Path) -> None:
    text = PROFILE.replace('"auto", BUDGET', width)
    with pytest.raises(UsageError) as refused:
        settings_from(text, tmp_path)
    (line,) = refused.value.what.splitlines()[1:]
    assert line.strip().startswith("model.student.width: should be a share above 0, 1 at most, or")


def test_a_key_is_named_as_a_profile_spells_it(tmp_path: Path) -> None:
    text = PROFILE.replace("BUDGET", "budget_ms = 2").replace("from =", "form =")
    with pytest.raises(UsageError, match="form: unknown key; did you mean 'from'"):
        settings_from(text, tmp_path)


def test_candidates_are_lowered_and_their_first_answer_is_timed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(student_width, "_PARTS", 2)
    choice = source(tmp_path, "budget_ms = 10000").student_choice()
    assert choice is not None
    assert choice.width == 1.0
    (last,) = [cost for cost in choice.tried if cost.width == 1.0]
    assert last.bytes > 4 * (16 * 9 + 32 * 16 * 9)
    assert last.ms is not None
