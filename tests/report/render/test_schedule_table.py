"""What is said of a schedule is in the words of its task."""

from __future__ import annotations

import pytest

from pipeline.bundle.schedule import Candidate, Int8Student, PlanChoice, Schedule
from pipeline.report.render.schedule_table import schedule_sentence
from pipeline.settings import TaskKind, metric_of

PLAN = PlanChoice(
    taken="S8->T32",
    fp32_top1=0.9875,
    int8=Int8Student(top1=0.9862, low=-0.0019, high=-0.0007),
    why="because",
)
SCHEDULE = Schedule(
    order="prefix",
    images=40,
    held_out=True,
    cost_unit="MB",
    cost_origin="bytes",
    candidates=(Candidate(order="prefix", blocks=(0, 1), stages=2, mean_gain=0.01),),
    steps=(),
    precision=PLAN,
)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("dense", "(student in float32 98.75%, in int8 98.62%, -0.19 to -0.07 points)"),
        ("embedding", "(student in float32 0.9875, in int8 0.9862, -0.00190 to -0.00070 cosine)"),
    ],
)
def test_a_precision_plan_is_told_in_its_tasks_numbers(kind: TaskKind, words: str) -> None:
    said = schedule_sentence(SCHEDULE, metric_of(kind))
    assert said.endswith(f"precision: S8->T32, because {words}")
