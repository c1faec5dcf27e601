"""What the page says of the device while it was measured."""

from __future__ import annotations

from pipeline.device.state import Battery, Core, DeviceState, OtherProcess, Thermal
from pipeline.harness.samples import Rejected
from pipeline.report.render.state_table import (
    build_words,
    cores_words,
    rejected_words,
    state_rows,
)
from pipeline.report.report_consistency import report_contradictions
from pipeline.report.schema import Report
from tests.report.builder import DEVICE, STATE, metric, report, start, through

COOL = DeviceState(
    battery=Battery(level_percent=81, celsius=30.1, charging=True),
    thermal=Thermal(status=0, headroom=0.5),
    screen_on=True,
    power_save=False,
    cores=(
        *(Core(index=i, capacity=280, governor="walt") for i in range(3)),
        Core(index=3, capacity=1024, governor="walt", limit_khz=2_000_000, highest_khz=2_900_000),
    ),
    space_free_kb=2_000_000,
    busy_share=0.1,
    others=(OtherProcess(name="surfaceflinger", cores=0.2),),
)
HOT = COOL.model_copy(update={"thermal": Thermal(status=2)})


def of(**context: object) -> Report:
    ours = report({"time": metric([1.0])})
    return ours.model_copy(update={"context": ours.context.model_copy(update=context)})


def test_every_fact_that_the_device_told_has_a_row() -> None:
    rows = {
        row[0]: row[1:] for row in state_rows(of(before=COOL, between=(HOT, HOT, COOL), after=HOT))
    }
    assert rows["battery"][0] == "81 %, 30.1 °C, charging"
    assert rows["thermal status"] == ["0, none", "2, moderate (mostly; 1 others)", "2, moderate"]
    assert rows["cores by capacity"][0] == "3 x 280, 1024"
    assert rows["frequencies"][0] == "3 x ?, 2000/2900 MHz"
    assert rows["governors"][0] == "4 x walt"
    assert rows["screen"] == ["on", "on", "on"]
    assert rows["other programs"][0] == "surfaceflinger 0.2"
    assert "skin" not in rows


def test_a_device_that_tells_nothing_has_no_rows() -> None:
    assert state_rows(of(before=STATE, after=STATE)) == []


def test_what_the_device_is_made_of_is_told() -> None:
    extra = {"ro.soc.model": "Tensor G3", "ro.build.fingerprint": "google/shiba/x"}
    device = report({}, device={**DEVICE, "extra": extra})
    assert build_words(device) == "Tensor G3, google/shiba/x"
    assert build_words(of()) == ""


def test_where_the_harness_ran_is_told() -> None:
    assert cores_words(of()) == "on any of the cores 0, 1"
    assert cores_words(of(cores=(0, 1))) == "bound to cores 0, 1"


def with_rejected(*waited: float) -> Report:
    slow = start("pwl", "warm").model_copy(update={"ttfi_ns": 3})
    run = through("warm", 2).model_copy(update={"wall_ns": 5})
    ours = report({})
    rejected = (
        Rejected(round=0, wall_over_cpu=waited[0], ttfi=slow),
        Rejected(round=1, wall_over_cpu=waited[1], progress=run),
    )
    return ours.model_copy(update={"runs": ours.runs.model_copy(update={"rejected": rejected})})


def test_runs_that_were_run_again_are_counted() -> None:
    assert rejected_words(report({})) == ""
    assert rejected_words(with_rejected(3.0, 5.0)) == (
        "2 runs waited for processors and were run again (1 progressive run, 1 start of pwl): "
        "wall over CPU time 4.0, at most 5.0"
    )


def test_a_rejection_that_its_run_does_not_give_contradicts_the_report() -> None:
    assert list(report_contradictions(with_rejected(3.0, 5.0))) == []
    assert "another wall_over_cpu" in next(report_contradictions(with_rejected(3.0, 1.0)))
