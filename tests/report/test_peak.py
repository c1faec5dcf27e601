"""What the highest memory of a process is made of, reckoned by hand."""

from __future__ import annotations

from typing import Any

from pipeline.harness.memory_sample import MemorySample
from pipeline.report.metrics import metrics_of
from pipeline.report.peak import Peak, peak_of
from pipeline.report.render.memory_table import MEMORY_COLUMNS, memory_rows
from tests.report.builder import report


def sample(
    *steps: tuple[str, str, int, tuple[int, int, int], int], arm: str = "pwl"
) -> MemorySample:
    """Each: what was done, to which unit of so many kB, what is resident, and was at most."""
    told: list[dict[str, Any]] = [
        {
            "step": step,
            "unit": unit,
            "stage": 0,
            "bytes": 1024 * size,
            "anonymous_kb": anonymous,
            "programs_kb": programs,
            "files_kb": files,
            "peak_kb": peak,
        }
        for step, unit, size, (anonymous, programs, files), peak in steps
    ]
    return MemorySample.model_validate({"arm": arm, "steps": told})


BEGIN = ("begin", "", 0, (100, 0, 1000), 1100)
STUDENT = (
    ("engine", "", 0, (150, 0, 1200), 1400),
    ("load", "student", 80, (230, 5, 1300), 1600),
    ("run", "student", 0, (250, 7, 1300), 1600),
)


def test_memory_is_told_apart_where_it_is_highest() -> None:
    climb = sample(BEGIN, *STUDENT, ("load", "teacher", 500, (760, 8, 1300), 2560))
    # 2068 are resident at the end of the load; 492 more were, of the file that was packed.
    peak = peak_of(climb)
    assert peak == Peak(weights=80 + 510, workspaces=20, mappings=8 + 492, rest=1450)
    assert peak.whole == 2560


def test_what_a_file_cannot_have_had_is_no_mapping_of_it() -> None:
    climb = sample(BEGIN, *STUDENT, ("load", "teacher", 300, (760, 8, 1300), 2560))
    assert peak_of(climb) == Peak(weights=590, workspaces=20, mappings=308, rest=1642)


def test_programs_that_were_destroyed_before_are_not_in_it() -> None:
    climb = sample(
        BEGIN,
        *STUDENT,
        ("destroy", "student", 0, (160, 0, 1300), 1600),
        ("load", "teacher", 0, (960, 0, 1300), 2260),
        ("run", "teacher", 0, (1000, 0, 1300), 2300),
    )
    # What the student's memory did not give back belongs to nobody.
    assert peak_of(climb) == Peak(weights=800, workspaces=40, mappings=0, rest=1460)


def test_what_happens_after_the_highest_moment_does_not_count() -> None:
    climb = sample(BEGIN, *STUDENT, ("load", "late", 10, (270, 7, 1300), 1600))
    assert peak_of(climb) == Peak(weights=80, workspaces=0, mappings=5 + 65, rest=1450)


def test_a_device_that_does_not_say_tells_nothing_apart() -> None:
    assert peak_of(sample(("begin", "", 0, (-1, -1, -1), 1100))) is None
    assert peak_of(sample(("begin", "", 0, (100, 0, 1000), -1))) is None


def test_every_arm_has_a_metric_for_each_part_and_a_row() -> None:
    plain = report({})
    arms = ("pwl", "student", "teacher")
    told = tuple(sample(BEGIN, *STUDENT, arm=arm) for arm in arms[:2])
    silent = sample(("begin", "", 0, (-1, -1, -1), 1100), arm=arms[2])
    runs = plain.runs.model_copy(update={"memory": ((*told, silent),)})
    found = metrics_of(runs, plain.stages, plain.parity, plain.bundle, ())
    parts = {name: one.samples for name, one in found.items() if name.startswith("peak_part_mb.p")}
    assert parts == {
        "peak_part_mb.pwl.weights": (0.08,),
        "peak_part_mb.pwl.workspaces": (0.0,),
        "peak_part_mb.pwl.mappings": (0.07,),
        "peak_part_mb.pwl.rest": (1.45,),
        "peak_part_mb.pwl.whole": (1.6,),
    }
    rows = memory_rows(plain.model_copy(update={"metrics": found}))
    assert rows == [[arm, "0.1", "0.0", "0.1", "1.4", "1.6"] for arm in arms[:2]]
    assert len(MEMORY_COLUMNS) == len(rows[0])
