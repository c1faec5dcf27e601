"""Results that are wrong make a report invalid, whatever its own verdict or the gates say."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.errors import ExitCode, IntegrityError
from pipeline.device.guards import Finding
from pipeline.report.gate_file import Gate, GateFile
from pipeline.report.gates import GateVerdict, exit_code, judge
from pipeline.report.integrity import (
    cosine_allowed,
    differing_allowed,
    mean_cosine_allowed,
    parity_of,
    parity_text,
    require_right_results,
    within_limit,
    wrong_results,
)
from pipeline.report.schema import Report
from tests.report.builder import IMAGES, metric, report

ANY = GateFile(gate=(Gate(name="any", metric="time", at_most=2),))
TIME = {"time": metric([1.0])}


def changed(data: Report, change: Callable[[dict[str, Any]], None]) -> Report:
    """A report read back after its JSON was changed."""
    document = data.model_dump(mode="json")
    change(document)
    return Report.model_validate(document)


def differing(images: int) -> Report:
    def change(document: dict[str, Any]) -> None:
        document["stages"][1]["differing"] = images

    return changed(report(TIME), change)


def unlabeled(document: dict[str, Any]) -> None:
    document["runs"]["predictions"][0]["predictions"][7] = -1


def start_answering(*logits: float | None) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        document["runs"]["ttfi"][0][0]["logits"] = logits

    return change


def test_a_report_that_is_right_is_judged_by_its_gates() -> None:
    ours = report(TIME)
    assert wrong_results(ours) == []
    assert exit_code(judge(ANY, ours, None)) is ExitCode.OK


WRONG = {
    "logits of golden inputs hold NaN": report(TIME, max_rel={"stage-1": None}),
    "teacher: logits of golden inputs hold NaN": report(TIME, max_rel={"teacher": None}),
    "stage-0 deviates from eager PyTorch by 2.00e-04": report(TIME, max_rel={"stage-0": 2e-4}),
    "stage-1: 11 of 1000 images are labeled otherwise": differing(11),
    "stage-1: 1000 of 1000 images are labeled otherwise": differing(IMAGES),
    "stage-0: logits of 1 of 1000 evaluation images": changed(report(TIME), unlabeled),
    "pwl: logits of 1 of 1 warm starts hold NaN": changed(report(TIME), start_answering(None, 1)),
    "pwl: 1 of 1 warm starts answered otherwise than stage-0": changed(
        report(TIME), start_answering(1.01, -2.0)
    ),
}


@pytest.mark.parametrize("said", WRONG)
def test_wrong_results_are_told_and_end_with_four_whatever_the_gates(said: str) -> None:
    ours = WRONG[said]
    assert ours.validity.verdict == "valid"  # its own word is not taken
    assert any(said in line for line in wrong_results(ours))
    judgments = judge(ANY, ours, None)
    assert said in judgments[0].why
    assert exit_code(judgments) is ExitCode.INTEGRITY


@pytest.mark.parametrize("said", WRONG)
def test_a_baseline_with_wrong_results_ends_with_four_too(said: str) -> None:
    judgments = judge(ANY, report(TIME), WRONG[said])
    assert "the baseline is invalid" in judgments[0].why
    assert exit_code(judgments) is ExitCode.INTEGRITY


def test_a_report_that_calls_itself_invalid_ends_with_four() -> None:
    ours = report(
        TIME, verdict="invalid", reasons=[Finding(id="WRONG-RESULTS", text="the moon was full")]
    )
    judgments = judge(GateFile(gate=ANY.gate, allow=("BUSY-DEVICE",)), ours, None)
    assert "the moon was full" in judgments[0].why
    assert exit_code(judgments) is ExitCode.INTEGRITY


def test_a_few_labels_that_ties_explain_are_allowed() -> None:
    assert wrong_results(differing(10)) == []


def test_quantized_embeddings_may_turn_as_far_as_quantization_turned_them() -> None:
    assert mean_cosine_allowed(1e-4) == cosine_allowed(1e-4) == 1e-4
    assert mean_cosine_allowed(1e-4, 1.0) == cosine_allowed(1e-4, 1.0) == 1e-4
    assert mean_cosine_allowed(1e-4, 0.98) == pytest.approx(0.02)
    angle = cosine_allowed(1e-4, 0.98)
    assert math.cos(angle) == pytest.approx(0.98)


@pytest.mark.parametrize(
    ("images", "tolerance", "allowed"),
    [
        (40, 1e-4, 1),
        (199, 1e-4, 1),
        (200, 1e-4, 2),
        (5000, 1e-4, 50),
        (1000, 1e-6, 1),
        (1000, 1e-3, 100),
        (1000, 0.5, 100),
    ],
)
def test_how_many_labels_may_differ_follows_from_the_tolerance(
    images: int, tolerance: float, allowed: int
) -> None:
    assert differing_allowed(images, tolerance) == allowed


def test_starts_may_differ_by_what_two_runs_within_the_tolerance_may() -> None:
    # Parity is relative to the largest logit, which is -2.
    assert wrong_results(changed(report(TIME), start_answering(1.0003, -2.0))) == []
    assert wrong_results(changed(report(TIME), start_answering(1.0005, -2.0))) != []


@pytest.mark.parametrize(
    ("deviation", "text"), [(1e-6, "1.0e-06"), (2e-4, "2.0e-04 FAIL"), (None, "NaN FAIL")]
)
def test_tables_mark_what_the_rule_refuses(deviation: float | None, text: str) -> None:
    ours = report(TIME, max_rel={"stage-1": deviation})
    assert parity_text(parity_of(ours, "stage-1")) == text
    assert within_limit(parity_of(ours, "stage-1")) == ("FAIL" not in text)


def test_a_gate_on_the_parity_of_a_program_that_gives_nan_fails() -> None:
    names = ("stage-0", "student", "teacher")  # what such a report has
    metrics = {f"parity_max_rel.{name}": metric([1e-6]) for name in names}
    ours = report(metrics, max_rel={"stage-1": None})
    gate = Gate(name="parity", metric="parity_max_rel.*", at_most=1e-4, integrity=True)
    judgments = {j.metric: j for j in judge(GateFile(gate=(gate,)), ours, None)}
    assert judgments["parity_max_rel.stage-1"].verdict is GateVerdict.REGRESSION
    assert "NaN" in judgments["parity_max_rel.stage-1"].why
    assert judgments["parity_max_rel.stage-0"].verdict is GateVerdict.PASS


def test_only_an_invalid_report_is_refused_after_it_was_written() -> None:
    require_right_results(
        report(TIME, verdict="suspect", reasons=[Finding(id="HOT-DEVICE", text="hot")]), Path("out")
    )
    with pytest.raises(IntegrityError, match="stage-1 gave NaN") as caught:
        found = Finding(id="WRONG-RESULTS", text="stage-1 gave NaN")
        ours = report(TIME, verdict="invalid", reasons=[found])
        require_right_results(ours, Path("out"))
    assert "out/report.html" in caught.value.remedy
