"""A report that was damaged or edited is refused where it is read, and says what does not fit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.errors import IntegrityError
from pipeline.harness.memory_sample import MemoryStep
from pipeline.report.report_file import load_consistent_report, load_report
from tests.report.builder import around, measured, metric, report

Document = dict[str, Any]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "report.json"


def document() -> Document:
    metrics = {"time": metric(around(3.0)), "accuracy.0": metric([0.9])}
    data: Document = json.loads(report(metrics).to_json())
    return data


def put(*keys: str | int, value: Any) -> Callable[[Document], None]:
    """A change of one value."""

    def change(data: Any) -> None:
        for key in keys[:-1]:
            data = data[key]
        data[keys[-1]] = value

    return change


def drop(*keys: str | int) -> Callable[[Document], None]:
    def change(data: Any) -> None:
        for key in keys[:-1]:
            data = data[key]
        del data[keys[-1]]

    return change


def test_what_is_not_changed_is_read(path: Path) -> None:
    path.write_text(json.dumps(document()))
    load_report(path)


MEMORY: Document = dict.fromkeys(MemoryStep.model_fields, 1) | {"step": "begin", "unit": ""}

LOADS = document()["runs"]["two_step"][0][0]["loads"]
DAMAGES = {
    # Values of another type.
    "stages.0.index: Input should be a valid integer": put("stages", 0, "index", value=False),
    "parity.0.max_abs: Input should be a valid number": put("parity", 0, "max_abs", value="0.1"),
    # Numbers that are none.
    "NaN is no number": put("metrics", "time", "median", value=float("nan")),
    "Infinity is no number": put("metrics", "time", "high", value=float("inf")),
    "-Infinity is no number": put("context", "before", value={"load": float("-inf")}),
    "logits.0: Input should be a valid number": put("runs", "logits", 0, "logits", 0, value="high"),
    # Metrics that are not of their samples.
    "the median of the samples is 3.0": put("metrics", "time", "median", value=2.9),
    "not in order within the samples": put("metrics", "time", "low", value=0.1),
    "metrics.time.samples": put("metrics", "time", "samples", value=[]),
    "not one round for each sample": put("metrics", "time", "rounds", value=[0, 1]),
    # Stages.
    "[1] are not all stages": drop("stages", 0),
    "parity: not one entry for each of stage-0, student, teacher": drop("stages", 1),
    "stages: Tuple should have at least 1 item": put("stages", value=[]),
    "top1 is 0.99": put("stages", 0, "top1", value=0.99),
    "is not the interval of top1": put("stages", 0, "low", value=0.5),
    "stages.0.high": put("stages", 0, "high", value=2),
    "balanced is 0.9, but the mean of all recalls is 0.5": put(
        "stages", 0, value=document()["stages"][0] | {"balanced": 0.9, "recall": [0.2, None, 0.8]}
    ),
    "correct is 1001 of 1000": put("stages", 0, "correct", value=1001),
    "only 0 are labeled otherwise": put("stages", 0, "host_correct", value=950),
    "metrics.accuracy.0: samples are [0.9]": put("stages", 0, "correct", value=899),
    # Parity.
    "not one entry for each of stage-0, stage-1, student, teacher": drop("parity", 1),
    "parity: Tuple should have at least 1 item": put("parity", value=[]),
    "passed is true, but max_rel is 0.5": put("parity", 0, "max_rel", value=0.5),
    "parity.stage-0: not judged as int8 is": put("stages", 0, "precision", value="int8"),
    "one of max_abs and max_rel is missing": put("parity", 0, "max_rel", value=None),
    "parity.0.tolerance": put("parity", 0, "tolerance", value=0),
    # Runs.
    "its logits say otherwise": put("runs", "logits", 0, "logits", value=[None, 1.0]),
    "logits.0.logits: Tuple should have at least 1 item": put(
        "runs", "logits", 0, "logits", value=[]
    ),
    "logits of several lengths": put("runs", "logits", 0, "logits", value=[1.0, 2.0, 3.0]),
    "not one line for each golden input": drop("runs", "logits", 0),
    "999": put("runs", "predictions", 0, "predictions", value=[0] * 999),
    "predictions by stage": drop("runs", "predictions", 0),
    "is right on images that it gives no label": put(
        "runs", "predictions", 0, "predictions", value=[-1] * 1000
    ),
    "not one start of each of pwl, student, teacher": drop("runs", "ttfi", 0, 1),
    "reached 1 of 2 stages": put(
        "runs", "paced", 0, "loads", value=document()["runs"]["paced"][0]["loads"][:1]
    ),
    "runs.latency.0: not one line for each": drop("runs", "latency", 0, 0),
    "frames came in some, which belong to runs.served": lambda data: (
        put("runs", "paced", 0, "fps", value=1)(data),
        put("runs", "paced", 0, "inferences", "frame", value=[0, 1])(data),
        put("runs", "paced", 0, "inferences", "begin_ns", value=[0, 10**9])(data),
    ),
    "runs.two_step.0: not one run of each of warm": put(
        "runs", "two_step", 0, value=document()["runs"]["two_step"][0] * 2
    ),
    "runs.two_step.0: not two stages at full speed": lambda data: (
        put("runs", "two_step", 0, 0, "inferences", "stage", value=[0, 0])(data),
        put("runs", "two_step", 0, 0, "loads", value=LOADS[:1])(data),
    ),
    "runs.served: empty": put("context", "options", "fps", value=[30]),
    "runs.served.0: not one run at each of [] frames a second": put(
        "runs", "served", value=[document()["runs"]["paced"]]
    ),
    "runs.memory.0: not one process of each of pwl, student, teacher": put(
        "runs", "memory", value=[[{"arm": "pwl", "steps": [MEMORY]}]]
    ),
    "a frame was answered before it came": lambda data: (
        put("runs", "paced", 0, "fps", value=1)(data),
        put("runs", "paced", 0, "inferences", "frame", value=[0, 1])(data),
    ),
    "runs.paced: empty": put("runs", "paced", value=[]),
}
ALSO = {
    "reached 1 of 2 stages": put(
        "runs", "paced", 0, "inferences", "stage", value=[0, 0]
    ),  # the last inference has to be on the stage that was loaded last
}


@pytest.mark.parametrize("said", DAMAGES)
def test_a_damaged_report_is_refused(said: str, path: Path) -> None:
    data = document()
    DAMAGES[said](data)
    if said in ALSO:
        ALSO[said](data)
    if "top1" in said or "metrics.accuracy" in said:
        data["stages"][0]["differing"] = 1
    if "metrics.accuracy" in said:
        data["stages"][0]["top1"] = 0.899
    path.write_text(json.dumps(data))
    with pytest.raises(IntegrityError) as caught:
        load_report(path)
    assert said in caught.value.what
    assert str(path) in caught.value.what


@pytest.mark.parametrize(
    "name",
    [
        *("accuracy_minus_host.final", "parity_over_tolerance.stage-1", "differing_over_allowed.0"),
        *(
            "ttfi_ms.pwl.warm",
            "peak_rss_mb.pwl.warm",
            "latency_ms.stage-0",
            "time_to_final_ms.cold",
        ),
        *("bundle_over_controls", "model_warnings"),
    ],
)
def test_a_metric_that_was_edited_is_not_judged(name: str, path: Path) -> None:
    data = json.loads(measured(900, 900).to_json())
    path.write_text(json.dumps(data))
    load_consistent_report(path)
    edited = data["metrics"][name]
    value = edited["median"] * 0.9 - 0.01
    edited |= {"samples": [value] * len(edited["samples"])}
    edited |= dict.fromkeys(("median", "low", "high"), value)
    path.write_text(json.dumps(data))
    with pytest.raises(IntegrityError, match=f"metrics.{name}: its samples are not those"):
        load_consistent_report(path)


def test_a_metric_of_another_release_is_left_to_the_gates_that_ask_for_it(path: Path) -> None:
    data = json.loads(measured(900, 900).to_json())
    data["metrics"]["of_another_release"] = data["metrics"].pop("bundle_over_controls")
    path.write_text(json.dumps(data))
    load_consistent_report(path)


def test_a_program_that_gave_nan_has_no_parity_to_be_judged(path: Path) -> None:
    parity = {"parity_over_tolerance.stage-1": metric([0.1], "ratio")}
    path.write_text(report(parity, max_rel={"stage-1": None}).to_json())
    with pytest.raises(IntegrityError, match="stage-1, which gave NaN"):
        load_consistent_report(path)


def test_labels_that_the_model_does_not_have_are_refused(path: Path) -> None:
    data = document()
    data["labels"] = ["no", "yes"]
    data["runs"]["predictions"][0]["predictions"][3] = 2
    path.write_text(json.dumps(data))
    with pytest.raises(IntegrityError, match="stage 0 gives labels beyond the 2 classes"):
        load_report(path)


def test_a_key_that_stands_twice_is_refused(path: Path) -> None:
    text = json.dumps(document())
    path.write_text(text[:-1] + ', "validity": {"verdict": "valid", "reasons": []}}')
    with pytest.raises(IntegrityError, match="'validity' occurs twice"):
        load_report(path)


@pytest.mark.parametrize("text", ["1e999", "-1e999", "NaN"])
def test_numbers_that_no_float_holds_are_refused_wherever_they_stand(text: str, path: Path) -> None:
    data = document()
    data["context"]["after"] = {"hottest_celsius": "HERE"}
    path.write_text(json.dumps(data).replace('"HERE"', text))
    with pytest.raises(IntegrityError, match="no number of JSON"):
        load_report(path)


def test_nesting_without_end_is_refused(path: Path) -> None:
    path.write_text("[" * 100_000)
    with pytest.raises(IntegrityError, match=r"report\.json"):
        load_report(path)
