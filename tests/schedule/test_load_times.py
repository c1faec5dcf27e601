from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.core.errors import IntegrityError, UsageError
from pipeline.model.route import Role, UnitId
from pipeline.report.schema import Metric, StageResult
from pipeline.schedule.load_times import by_bytes, measured, report_content
from tests.report import builder

FIRST, SECOND = (UnitId(Role.TEACHER, index) for index in range(2))
DECODER = UnitId(Role.DECODER, 0)
ENCODER = UnitId(Role.ENCODER, 0)
STUDENT = {UnitId(Role.STUDENT, index): 1000 for index in range(2)}
SIZES = {FIRST: 1_000_000, SECOND: 3_000_000, DECODER: 2_000_000, ENCODER: 0, **STUDENT}


def saved_report(
    folder: Path, loads: dict[str, tuple[int, float | None]], state: str = "cold"
) -> Path:
    """A report whose stages load so many bytes in so many milliseconds, by route."""
    metrics: dict[str, Metric] = {}
    stages: list[StageResult] = []
    plain = builder.report({}, routes=list(loads), blocks=len(next(iter(loads))))
    for index, (route, (size, taken)) in enumerate(loads.items()):
        update = {"index": index, "route": route, "load_bytes": size}
        stages.append(plain.stages[index].model_copy(update=update))
        if taken is not None:
            metrics[f"swap_load_ms.{index}.{state}"] = builder.metric([taken] * 5)
    report = plain.model_copy(update={"stages": tuple(stages), "metrics": metrics})
    path = folder / "report.json"
    path.write_text(report.to_json())
    return path


def test_without_a_device_bytes_are_the_cost() -> None:
    times = by_bytes(SIZES)
    assert times.unit == "MB"
    assert times.of([FIRST, SECOND]) == pytest.approx(4.0)


@pytest.mark.parametrize("state", ["cold", "warm"])
def test_each_stage_tells_the_cost_of_the_block_that_it_loads(tmp_path: Path, state: str) -> None:
    path = saved_report(
        tmp_path,
        {"SS": (1, None), "TS": (1_010_000, 3.0), "TT": (3_020_000, 7.0)},
        state,
    )
    times = measured(path, SIZES)
    assert times.unit == "ms"
    assert times.of([FIRST]) == pytest.approx(3.0)
    assert times.of([SECOND]) == pytest.approx(7.0)
    assert "Board" in times.origin


def test_a_block_that_arrived_twice_tells_the_cost_of_each_arrival(tmp_path: Path) -> None:
    early = {UnitId(Role.TEACHER_INT8, 0): 250_000, UnitId(Role.TEACHER_INT8, 1): 750_000}
    loads: dict[str, tuple[int, float | None]] = {"SS": (1, None), "tt": (1_030_000, 4.0)}
    times = measured(saved_report(tmp_path, loads | {"TT": (4_020_000, 8.0)}), SIZES | early)
    assert times.of(early) == pytest.approx(4.0)
    assert times.of([FIRST]) == pytest.approx(2.0)


def test_a_line_gives_the_cost_of_what_was_not_measured(tmp_path: Path) -> None:
    path = saved_report(tmp_path, {"SS": (1, None), "TS": (10**6, 3.0), "TT": (3 * 10**6, 7.0)})
    assert measured(path, SIZES).of([DECODER]) == pytest.approx(5.0)  # 1 ms and 2 ms a MB


def test_blocks_that_came_together_share_the_time_by_their_bytes(tmp_path: Path) -> None:
    path = saved_report(tmp_path, {"SS": (1, None), "TT": (4_000_000, 8.0)})
    times = measured(path, SIZES)
    assert times.of([FIRST]) == pytest.approx(2.0)
    assert times.of([SECOND]) == pytest.approx(6.0)
    assert times.of([DECODER]) == pytest.approx(4.0)


def test_programs_of_small_blocks_are_mostly_no_parameters(tmp_path: Path) -> None:
    """The first stages of docs/own_model.py on ExecuTorch, as a bundle of it has them."""
    sizes = {FIRST: 12_352, SECOND: 37_376, ENCODER: 0, **STUDENT}
    path = saved_report(tmp_path, {"SS": (1, None), "TS": (18_888, 0.2), "TT": (44_396, 0.3)})
    assert measured(path, sizes).of([FIRST]) == pytest.approx(0.2)


def test_a_converter_has_its_share_of_the_time(tmp_path: Path) -> None:
    path = saved_report(tmp_path, {"SS": (1, None), "TS": (10**6, 3.0), "TT": (3 * 10**6, 7.0)})
    times = measured(path, SIZES | {FIRST: 600_000, ENCODER: 400_000})
    assert times.of([FIRST]) == pytest.approx(1.8)
    assert times.of([ENCODER]) == pytest.approx(1.2)


@pytest.mark.parametrize(
    ("loads", "said"),
    [
        ({"SS": (1, None), "TS": (10**6, None), "TT": (3 * 10**6, 7.0)}, "no load time of stage 1"),
        ({"SS": (1, None), "TS": (9 * 10**6, 1.0), "TT": (3 * 10**6, 7.0)}, "stage 1 loads 9,000,"),
    ],
)
def test_a_report_that_does_not_fit_is_refused(
    tmp_path: Path, loads: dict[str, tuple[int, float | None]], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        measured(saved_report(tmp_path, loads), SIZES)


def test_a_report_of_a_model_with_other_blocks_is_refused(tmp_path: Path) -> None:
    path = saved_report(tmp_path, {"SS": (1, None), "TS": (10**6, 3.0), "TT": (3 * 10**6, 7.0)})
    more = SIZES | {UnitId(Role.TEACHER, 2): 1}
    with pytest.raises(UsageError, match="2 blocks, this one 3"):
        measured(path, more)


def test_a_report_of_a_device_that_computes_wrongly_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text(builder.report({}, max_rel={"stage-1": None}).to_json())
    with pytest.raises(IntegrityError, match="stage-1: logits of golden inputs hold NaN"):
        measured(path, SIZES)


def test_a_missing_report_is_named(tmp_path: Path) -> None:
    assert report_content(None) == ""
    with pytest.raises(UsageError, match=r"schedule\.load_times.*nowhere\.json"):
        report_content(tmp_path / "nowhere.json")
