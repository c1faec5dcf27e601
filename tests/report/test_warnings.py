"""What speaks against a model reaches everybody who judges its report."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from typer.testing import CliRunner

from pipeline.check import check
from pipeline.core.errors import ExitCode
from pipeline.core.toml_file import load_toml
from pipeline.evaluation.model_warnings import ModelWarning
from pipeline.report.gate_file import Gate, GateFile
from pipeline.report.gates import exit_code, judge
from pipeline.report.render.recall_table import recall_sentence
from pipeline.report.render.verdicts import junit_suite, junit_text, markdown
from pipeline.report.schema import Report
from tests.fixtures import ROOT
from tests.report.builder import measured

TEXT = "the teacher, stage 1 (TT), is no better than always answering 'no'"
WARNINGS = (
    ModelWarning(kind="teacher", text=TEXT),
    ModelWarning(kind="data", text="3 image(s) are animated"),
)
GATES = GateFile(gate=(Gate(name="speed", metric="latency_ms.stage-0", at_most=9),))


def warned() -> Report:
    return measured(900, 900, warnings=WARNINGS)


def test_check_prints_them_on_stderr(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text(warned().to_json())
    gates = tmp_path / "gates.toml"
    gates.write_text('[[gate]]\nname = "speed"\nmetric = "latency_ms.stage-0"\nat_most = 9\n')
    result = CliRunner().invoke(check, [str(tmp_path / "report.json"), "--gates", str(gates)])
    assert result.exit_code == 0
    assert f"warning: {TEXT}" in result.stderr


def test_summaries_for_ci_hold_them() -> None:
    judged = warned()
    judgments = judge(GATES, judged, None)
    assert TEXT in markdown(judged, judgments)
    assert "system-err" in junit_text(junit_suite(judged, judgments))
    assert "no better than always answering" in junit_text(junit_suite(judged, judgments))


def test_a_gate_may_refuse_a_model_that_is_warned_of() -> None:
    gates = GateFile(gate=(Gate(name="sound", metric="model_warnings", at_most=0),))
    (judgment,) = judge(gates, warned(), None)
    assert judgment.verdict == "regression"
    assert judgment.value is not None
    assert judgment.value.median == 1  # notes on images do not count


@pytest.mark.parametrize(
    ("kind", "code"), [("teacher", ExitCode.INTEGRITY), ("worse-stage", ExitCode.OK)]
)
def test_a_release_needs_a_teacher_and_no_curve_without_dips(
    kind: Literal["teacher", "worse-stage"], code: ExitCode
) -> None:
    gates = load_toml(ROOT / "profiles" / "gates" / "release.toml", GateFile)
    judged = measured(900, 900, warnings=[ModelWarning(kind=kind, text=TEXT)])
    assert exit_code(judge(gates, judged, None)) is code


def test_recalls_are_told_in_one_line() -> None:
    assert recall_sentence((0.5, None, 1.0), ("a", "b", "c")) == (
        "recall: a 50.0%, c 100.0%; 1 label(s) without an image"
    )
    many = [index / 100 for index in range(100)]
    said = recall_sentence(many, [f"l{index}" for index in range(100)])
    assert said.startswith("lowest recall of 100: l0 0.0%, l1 1.0%, ")
    assert said.count("%") == 12
