"""A network cut where its blocks take about as long to load, which is measured once."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError
from torch import nn
from typer.testing import CliRunner

from pipeline.core.errors import UsageError
from pipeline.core.progress import Silent
from pipeline.core.work import Work
from pipeline.ingest.balance import balanced_cuts
from pipeline.ingest.split_candidates import SplitCandidates, measured_split
from pipeline.inspect import inspect
from pipeline.settings import SourceModel
from pipeline.workflows.load_time_splits import without_fixed_cost
from pipeline.workflows.model_source import ModelSource
from tests.fixtures import settings_from

MINE = """
from torch import nn
def model():
    body = (nn.Conv2d(1 if index == 0 else 4, 4, 3, padding=1) for index in range(1 + PARTS))
    return nn.Sequential(*body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 10))
"""
PROFILE = """
name = "cut"
data = { source = "digits", test_images = 1600 }
training.distillation = { recipe = "joint", epochs = 1 }
lowering.backend = "litert"
[model]
source = "python:mine.py:model"
split = "auto:2:load_time"
student = { from = "teacher", width = 0.5 }
"""


def written(folder: Path, parts: int) -> Path:
    (folder / "mine.py").write_text(MINE.replace("PARTS", str(parts)))
    path = folder / "cut.toml"
    path.write_text(PROFILE)
    return path


def source(folder: Path, parts: int = 4, blocks: int = 2) -> ModelSource:
    text = written(folder, parts).read_text().replace("auto:2:", f"auto:{blocks}:")
    settings = settings_from(text, folder)
    return ModelSource(settings, Silent(), Work(folder / "cache", Silent(), 1))


def measures(monkeypatch: pytest.MonkeyPatch, *times: float) -> list[int]:
    """Has programs take so many milliseconds, and notes how many there are."""
    import pipeline.lowering.first_answer as first_answer

    seen: list[int] = []

    def chain(network: nn.Module, *_: object) -> list[bytes]:
        seen.append(len(network))
        return [bytes(1000)] * len(network)

    monkeypatch.setattr(first_answer, "lowered_chain", chain)
    monkeypatch.setattr(first_answer, "load_times_ms", lambda *_: [*times])
    return seen


@pytest.mark.parametrize(
    ("times", "split"),
    [
        ([3, 1, 1, 1], ("1", "2..4")),
        ([1, 1, 1, 1], ("1", "3..4")),
        ([1, 1, 1, 3], ("1", "4")),
    ],
)
def test_blocks_take_about_as_long_to_load(
    times: list[float], split: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measures(monkeypatch, *times)
    made = source(tmp_path)
    assert made.model.blocks == 2
    choice = made.split_choice()
    assert choice is not None
    assert choice.split == split
    assert [(part.begins_with, part.ms) for part in choice.parts] == [
        (str(index), ms) for index, ms in enumerate(times, 1)
    ]
    first = made.model.teacher.part(0)
    layers = [part for part in first.modules() if isinstance(part, nn.Conv2d)]
    assert len(layers) == int(split[1][0])


def test_what_was_chosen_stays_whatever_is_measured_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measures(monkeypatch, 3, 1, 1, 1)
    first = source(tmp_path)
    choice, content = first.split_choice(), first.content()
    asked = measures(monkeypatch, 1, 1, 1, 3)
    monkeypatch.setattr(SplitCandidates, "parts", None)  # nothing is cut everywhere to look it up
    again = source(tmp_path)
    assert (again.split_choice(), again.content()) == (choice, content)
    assert asked == []
    monkeypatch.undo()
    measures(monkeypatch, 1, 1, 1, 1, 3)
    assert source(tmp_path, parts=5).split_choice() != choice  # another network


def test_inspect_shows_what_a_build_will_choose(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measures(monkeypatch, 3, 1, 1, 1.25)
    arguments = [str(written(tmp_path, 4)), "--cache", str(tmp_path / "cache")]
    result = CliRunner().invoke(inspect, arguments)
    assert result.exit_code == 0, result.output
    assert '"auto:4" is ["1", "2", "3", "4"]' in result.output
    assert '"auto:2:load_time" is ["1", "2..4"]' in result.output
    rows = [line.split() for line in result.output.splitlines() if "x8x8" in line]
    assert [row[-1] for row in rows if row[0].isdigit()] == ["3.00", "1.00", "1.00", "1.25"]
    measures(monkeypatch, 1, 1, 1, 3)
    choice = source(tmp_path).split_choice()
    assert choice is not None
    assert choice.split == ("1", "2..4")


def test_what_every_program_takes_does_not_count() -> None:
    weights = without_fixed_cost([100, 200, 400, 100], [2, 3, 5, 2])  # 1 ms, and 1 for 100 bytes
    assert weights == pytest.approx([1, 2, 4, 1])
    assert balanced_cuts("mine", ["a", "b", "c", "d"], weights, 2) == ["a", "c..d"]
    assert min(without_fixed_cost([100, 100], [2, 2])) > 0
    assert min(without_fixed_cost([100, 200], [3, 3])) > 0
    assert without_fixed_cost([100, 200], [1, 9]) == [1, 9]  # less than nothing is nothing


def test_without_a_profile_nothing_can_be_measured() -> None:
    with pytest.raises(UsageError, match="measured for the backends of a profile") as caught:
        measured_split("mine", "teacher", nn.Identity(), ["auto:3:load_time"], (1, 8, 8), None)
    assert 'split = "auto:3"' in caught.value.remedy


def test_too_many_blocks_and_other_words_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="into 1 to 2 blocks by its submodules: not 3"):
        source(tmp_path, parts=1, blocks=3).content()
    with pytest.raises(ValidationError, match='"auto:N:load_time" for N that take as long'):
        SourceModel(source="python:mine:model", split="auto:2:loading")


def test_parts_are_lowered_and_loaded(tmp_path: Path) -> None:
    choice = source(tmp_path, parts=2).split_choice()
    assert choice is not None
    assert choice.split == ("1", "2")
    assert [part.begins_with for part in choice.parts] == ["1", "2"]
    assert min(part.bytes for part in choice.parts) > 4 * 4 * 9
