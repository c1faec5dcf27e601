"""Two reports side by side, judged as by a gate over a baseline whose limit is 1."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from pipeline.compare import compare
from pipeline.core.atomic_files import sha256_of
from pipeline.device.guards import Finding
from pipeline.device.state import Battery, DeviceState
from pipeline.report.comparison import Comparison, MetricChange, compare_reports
from pipeline.report.gate_file import Gate, GateFile
from pipeline.report.gates import GateVerdict, judge
from pipeline.report.schema import Report
from pipeline.report.sessions import change_of
from tests.report.builder import DEVICE, around, measured, metric, report

OTHER = {"id": "cd" * 32}


def compared(a: Report, b: Report, *patterns: str) -> Comparison:
    return compare_reports(a, b, ("0" * 64, "1" * 64), patterns or ("*",))


def change(before: list[float], after: list[float], unit: str = "ms") -> MetricChange:
    earlier = report({"time": metric(before, unit)}, **OTHER)
    return compared(earlier, report({"time": metric(after, unit)})).metrics[0]


SAMPLES = {
    "faster": around(8.0),
    "ten": around(10.0),
    "the same": [*reversed(around(10.0))],
    "a little slower": around(10.05, 0.01),
    "slower by significance alone": around(10.6, 0.08),
    "slower": around(12.0),
    "wide": around(10.0, 0.9),
    "few": [10.0, 11.0],
    "one": [10.5],
    "half are zero": [0.0] * 3 + [5.0] * 4,
}


@pytest.mark.parametrize("before", SAMPLES)
@pytest.mark.parametrize("after", SAMPLES)
def test_what_changed_is_what_a_gate_over_a_baseline_would_find(before: str, after: str) -> None:
    earlier = report({"time": metric(SAMPLES[before])}, **OTHER)
    later = report({"time": metric(SAMPLES[after])})
    limits: dict[str, Any] = {"higher": {"at_most": 1.0}, "lower": {"at_least": 1.0}}
    found = [
        change
        for change, limit in limits.items()
        for result in judge(
            GateFile(gate=(Gate(name="x", metric="time", over="baseline", **limit),)),
            later,
            earlier,
        )
        if result.verdict is GateVerdict.REGRESSION
    ]
    assert (found or ["no difference"]) == [
        change_of(later.metrics["time"], earlier.metrics["time"])
    ]


@pytest.mark.parametrize(
    ("unit", "more"),
    [
        *((unit, "worse") for unit in ("ms", "MB", "bytes", "ratio", "relative", "images")),
        *((unit, "better") for unit in ("share", "dB")),
    ],
)
def test_more_is_better_of_some_units_and_worse_of_others(unit: str, more: str) -> None:
    less = "better" if more == "worse" else "worse"
    assert change([1.0], [2.0], unit).judgment == more
    assert change([2.0], [1.0], unit).judgment == less
    assert change([2.0], [2.0], unit).judgment == "no difference"


def test_every_metric_of_a_report_has_a_unit_of_which_it_is_known_what_is_better() -> None:
    ours = measured(900, 900)
    for name, found in ours.metrics.items():
        assert change([1.0], [2.0], found.unit).judgment in ("better", "worse"), name


def test_of_a_unit_that_is_not_known_nothing_is_better() -> None:
    moved = change([1.0], [2.0], "furlongs")
    assert (moved.change, moved.judgment) == ("higher", None)


def test_the_ratio_is_the_widest_that_both_intervals_allow() -> None:
    moved = change(around(10.0), around(20.0))
    assert moved.a is not None
    assert moved.b is not None
    assert moved.ratio is not None
    assert moved.ratio.median == pytest.approx(2.0)
    assert moved.ratio.low == moved.b.low / (moved.a.high or 0)
    assert moved.ratio.high == (moved.b.high or 0) / moved.a.low


def test_what_was_zero_has_no_ratio_and_is_compared_nevertheless() -> None:
    moved = change([0.0], [3.0], "images")
    assert (moved.ratio, moved.judgment) == (None, "worse")


def test_an_interval_that_holds_zero_gives_a_ratio_without_an_end() -> None:
    moved = change(SAMPLES["half are zero"], [1.0] * 7)
    assert moved.ratio is not None
    assert moved.ratio.high is None


def test_what_a_baseline_could_not_be_is_told_and_nothing_called_better() -> None:
    found = compared(
        report({"time": metric(around(10.0))}, backend="litert", device={**DEVICE, "model": "B"}),
        report({"time": metric(around(8.0))}),
    )
    assert not found.comparable
    told = {one.name: (one.a, one.b) for one in found.differences if one.remedy}
    assert told == {"device model": ("B", "Board"), "backend": ("litert", "executorch")}
    assert (found.metrics[0].change, found.metrics[0].judgment) == ("lower", None)


def test_what_a_release_may_change_is_told_and_forbids_nothing() -> None:
    earlier = report({"time": metric(around(10.0))}, **OTHER, exporter="executorch 1.4.0")
    busy = DeviceState(battery=Battery(level_percent=50))
    context = earlier.context.model_copy(update={"before": busy, "tool": "0.0.9"})
    earlier = earlier.model_copy(update={"context": context})
    found = compared(earlier, report({"time": metric(around(8.0))}))
    assert found.comparable
    assert {one.name: (one.a, one.b) for one in found.differences} == {
        "bundle": ("cd" * 6, "ab" * 6),
        "exporter": ("executorch 1.4.0", "executorch 1.5.1"),
        "tool": ("0.0.9", "0.1.0"),
        "battery": ("50 %", ""),
    }
    assert found.metrics[0].judgment == "better"


def test_a_report_and_its_copy_are_told_to_be_one() -> None:
    found = compared(measured(900, 900), measured(900, 900))
    assert found.same
    assert not found.comparable


def test_stages_and_arms_of_one_name_are_compared_where_they_are_the_same() -> None:
    names = (
        "latency_ms.stage-1",
        "latency_ms.stage-0",
        "ttfi_ms.student.warm",
        "ttfi_ms.teacher.warm",
    )
    metrics = {name: metric(around(10.0)) for name in names}
    earlier = report(metrics, routes=("SS", "ST"))
    arms = (earlier.bundle.arms[0].model_copy(update={"route": "ST"}), earlier.bundle.arms[1])
    bundle = earlier.bundle.model_copy(update={"arms": arms})
    found = compared(earlier.model_copy(update={"bundle": bundle}), report(metrics))
    assert {one.name: one.note for one in found.metrics if one.note} == {
        "latency_ms.stage-1": "stage 1 is ST in A, TT in B",
        "ttfi_ms.student.warm": "arm student is ST fp32 in A, SS fp32 in B",
    }
    compared_ones = {one.name for one in found.metrics if one.change}
    assert compared_ones == {"latency_ms.stage-0", "ttfi_ms.teacher.warm"}


def test_what_one_has_alone_is_shown_beside_nothing() -> None:
    found = compared(
        report({"a": metric([1.0]), "both": metric([1.0], "ms")}),
        report({"b": metric([1.0]), "both": metric([1.0], "MB")}),
    )
    assert {one.name: one.note for one in found.metrics} == {
        "a": "in A only",
        "b": "in B only",
        "both": "in ms in A, in MB in B",
    }
    assert all(one.change is None for one in found.metrics)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.json").write_text(measured(900, 900).to_json())
    Path("b.json").write_text(measured(905, 905).to_json())


def run(*words: object) -> Result:
    return CliRunner().invoke(compare, [*map(str, words)])


def test_the_tables_are_no_wider_than_a_terminal_and_hold_every_metric() -> None:
    done = run("a.json", "b.json")
    assert done.exit_code == 0, done.stderr
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 100
    assert "comparable: the same model, measured the same way" in lines
    row, _ = (line for line in lines if line.split()[:1] == ["final"] and "90.00%" in line)
    assert row.split() == ["final", "90.00%", "90.50%", "1.006", "better"]
    count = len(measured(900, 900).metrics)
    assert lines[-1].startswith(f"{count} metrics: ")


def test_a_regression_is_no_exit_status() -> None:
    done = run("b.json", "a.json", "--metric", "accuracy.final")
    assert done.exit_code == 0
    assert done.stdout.splitlines()[-1] == "1 metric: 1 worse"
    assert "medians [95 % interval]; no word: no difference" in done.stdout.splitlines()


def test_metrics_are_chosen_by_name_and_pattern() -> None:
    done = run("a.json", "b.json", "--metric", "ttfi_ms.*.cold", "--metric", "accuracy.final")
    assert done.stdout.splitlines()[-1].startswith("4 metrics: ")
    done = run("a.json", "b.json", "--metric", "tffi_ms.pwl.cold")
    assert done.exit_code == 2
    assert done.stdout == ""
    assert "no metric tffi_ms.pwl.cold; did you mean ttfi_ms.pwl.cold?" in done.stderr


def test_a_file_holds_the_same_for_machines() -> None:
    done = run("a.json", "b.json", "--metric", "accuracy.*", "--json", "new/c.json")
    assert done.exit_code == 0
    found = Comparison.model_validate_json(Path("new/c.json").read_text())
    assert found.a.sha256 == sha256_of(Path("a.json"))
    assert {one.name: one.judgment for one in found.metrics} == dict.fromkeys(
        ("accuracy.0", "accuracy.1", "accuracy.final"), "better"
    )
    assert json.loads(Path("new/c.json").read_text())["schema_version"] == 1


def test_what_is_read_is_never_written() -> None:
    before = Path("b.json").read_bytes()
    assert run("a.json", "b.json", "--json", "b.json").exit_code == 2
    assert Path("b.json").read_bytes() == before


def test_suspect_timings_and_few_rounds_are_told() -> None:
    found = [Finding(id="HOT-DEVICE", text="it was hot")]
    few = report({"time": metric([1.0, 2.0])}, verdict="suspect", reasons=found)
    options = few.context.options.model_copy(update={"rounds": 2})
    few = few.model_copy(update={"context": few.context.model_copy(update={"options": options})})
    Path("few.json").write_text(few.to_json())
    done = run("a.json", "few.json")
    assert done.exit_code == 0
    assert "B's timings are suspect: HOT-DEVICE: it was hot" in done.stdout
    assert "B has 2 rounds: fewer than 6 give ranges" in done.stdout
    assert "A has 2 rounds" not in done.stdout


def test_wrong_results_are_shown_and_end_with_four() -> None:
    Path("nan.json").write_text(
        report({"time": metric([1.0])}, max_rel={"stage-1": None}).to_json()
    )
    done = run("a.json", "nan.json", "--json", "c.json")
    assert done.exit_code == 4
    assert "B's results are wrong: stage-1: logits of golden inputs hold NaN" in done.stdout
    assert "nan.json: its results are wrong" in done.stderr
    found = Comparison.model_validate_json(Path("c.json").read_text())
    assert not found.comparable
    assert {one.judgment for one in found.metrics} == {None}
    Path("said.json").write_text(report({"time": metric([1.0])}, verdict="invalid").to_json())
    done = run("said.json", "a.json")
    assert done.exit_code == 4
    assert "A's results are wrong: it calls itself invalid" in done.stdout


def edited(**keys: object) -> str:
    return json.dumps(json.loads(measured(900, 900).to_json()) | keys)


def with_other_samples() -> str:
    found = json.loads(measured(900, 900).to_json())
    found["metrics"]["ttfi_ms.pwl.warm"] |= {"samples": [9.0], "median": 9, "low": 9, "high": 9}
    return json.dumps(found)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", 4),
        ("{", 4),
        (edited()[:5000], 4),
        ('{"made": "elsewhere"}', 4),
        ("[]", 4),
        (edited(schema_version=2), 2),
        (edited(schema_version=4), 2),
        (edited().replace('"seconds": 1.0', '"seconds": NaN'), 4),
        (edited().replace('"seconds": 1.0', '"seconds": 1e999'), 4),
        (edited(runs={}), 4),
        (with_other_samples(), 4),
    ],
)
@pytest.mark.parametrize("place", [0, 1])
def test_what_is_no_report_is_named(text: str, code: int, place: int) -> None:
    Path("odd.json").write_text(text)
    words = ["a.json", "odd.json"]
    done = run(*(words if place else reversed(words)), "--json", "c.json")
    assert done.exit_code == code
    assert done.stdout == ""
    assert "odd.json" in done.stderr
    assert "remedy: " in done.stderr
    assert "Traceback" not in done.stderr
    assert not Path("c.json").exists()


def test_wrong_usage_ends_with_two() -> None:
    os.link("a.json", "devices.json")
    for words, said in (
        (("a.json", "none.json"), "no such file"),
        (("a.json", "."), "Is a directory"),
        (("a.json", "../" + Path.cwd().name + "/a.json"), "is given twice"),
        (("a.json", "devices.json"), "name the report.json of one of them"),
        (("a.json",), "Missing argument"),
    ):
        done = run(*words)
        assert done.exit_code == 2, words
        assert said in done.stderr


def test_a_name_that_is_not_utf_8_is_no_hindrance() -> None:
    odd = Path(os.fsdecode(b"caf\xe9.json"))
    odd.write_text(Path("b.json").read_text())
    done = run("a.json", odd, "--json", "c.json")
    assert done.exit_code == 0, done.stderr
    assert Comparison.model_validate_json(Path("c.json").read_text()).comparable
