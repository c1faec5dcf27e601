"""How benchmarks/kotlin.py judges what it measures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.kotlin import EXCEEDED, JAVA_FAILED, OPEN, Samples, conclude
from benchmarks.overhead import Finding, findings

MS = 1_000_000


def lines(part: str, wall: list[list[int]]) -> Samples:
    """What the JVM prints of one part, whose CPU times are the half."""
    samples = Samples()
    samples.take(f"part {part}")
    samples.take("warm-up " + " ".join(["999"] * 2 * len(wall[0])))
    for row in wall:
        samples.take("round " + " ".join(f"{each} {each // 2}" for each in row))
    return samples


def judged(samples: Samples) -> dict[str, Finding]:
    return {number.what: number for number in findings(samples.rounds) if number.limit is not None}


@pytest.mark.parametrize(
    ("part", "within", "beyond", "bars"),
    [
        ("first-stage", [[10_000, 24_000, 24_900]], [[10_000, 25_600, 26_000]], [15, 15]),
        ("last-stage", [[MS, 1_010_000, MS]], [[MS, 1_021_000, 1_030_000]], [1.02, 1.02]),
        ("start", [[5 * MS, 5_900_000]], [[5 * MS, 6_100_000]], [1]),
    ],
)
def test_each_bar_of_the_kotlin_library_is_judged_round_by_round(
    part: str, within: list[list[int]], beyond: list[list[int]], bars: list[float]
) -> None:
    for rows, verdict in ((within, "holds"), (beyond, "exceeded")):
        found = judged(lines(part, rows * 9))
        assert [number.limit for number in found.values()] == bars
        assert {number.verdict for number in found.values()} == {verdict}
    mixed = judged(lines(part, within * 5 + beyond * 5))
    assert {number.verdict for number in mixed.values()} == {"open"}


def test_cpu_time_stands_beside_wall_time_and_warming_up_is_left_out() -> None:
    (more,) = judged(lines("start", [[4 * MS, 6 * MS]] * 7)).values()
    assert (more.wall.median, more.wall.count) == (2.0, 7)
    assert more.cpu is not None
    assert more.cpu.median == 1.0


def test_what_models_leave_behind_is_judged_late_against_early() -> None:
    samples = Samples()
    samples.take("part cycles")
    for number in range(1, 11):
        samples.take(f"cycle {number * 10} 1000 2000 {10 + number // 9} 20")
    found = judged(samples)
    assert [number.verdict for number in found.values()] == ["holds", "holds", "exceeded", "holds"]


def test_a_stopped_measurement_is_written_as_far_as_it_came(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "reports" / "kotlin.json"
    samples = lines("start", [[5 * MS, 5_100_000]] * 6)
    assert conclude({"app": samples}, out) == 0
    assert conclude({"app": lines("start", [[5 * MS, 9 * MS]] * 9)}, out) == EXCEEDED
    both = lines("start", [[5 * MS, 5 * MS], [5 * MS, 9 * MS]] * 3)
    assert conclude({"app": both}, out) == OPEN
    samples.ended = "stopped"
    assert conclude({"app": samples}, out) == JAVA_FAILED
    kept = json.loads(out.read_text())["bundles"]["app"]
    assert kept["ended"] == "stopped"
    assert len(kept["rounds"]["start"]) == 6
    assert "not all was measured: stopped" in capsys.readouterr().err
