"""A baseline has to be of the same model, measured the same way; each mismatch is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pipeline.bundle.manifest import Input
from pipeline.check import check
from pipeline.core.errors import ExitCode
from pipeline.device.guards import Finding
from pipeline.report.baseline import mismatches
from pipeline.report.gate_file import Gate, GateFile
from pipeline.report.gates import GateVerdict, exit_code, judge
from pipeline.report.schema import Report
from tests.fixtures import ROOT
from tests.report.builder import ARMS, DEVICE, HARNESS, around, metric, report

TIME = {"time": metric(around(10.0)), "latency_ms.stage-1": metric(around(5.0))}
SLOWER = {"name": "slower", "at_most": 1.1, "over": "baseline"}


def decide(ours: Report, before: Report, name: str = "time", **gate: Any) -> tuple[str, ExitCode]:
    """What is wrong with a baseline, and how a check would end."""
    gates = GateFile(gate=(Gate.model_validate({**SLOWER, "metric": name, **gate}),))
    judgments = judge(gates, ours, before)
    whys = [j.why for j in judgments if j.verdict is GateVerdict.ERROR]
    return "; ".join(whys), exit_code(judgments)


OTHERS = {
    "device model 'Other board', this report 'Board'": {
        "device": {**DEVICE, "model": "Other board"}
    },
    "device system 'Linux 7'": {"device": {**DEVICE, "system": "Linux 7"}},
    "harness target 'linux-arm64'": {"target": "linux-arm64"},
    "harness abi 'x86'": {"harness": {**HARNESS, "abi": "x86"}},
    "harness cores (0,)": {"harness": {**HARNESS, "cores": [0]}},
    "model name 'other'": {"name": "other"},
    "model family 'vgg'": {"family": "vgg"},
    "backend 'litert', this report 'executorch'": {"backend": "litert"},
    "precision 'int8'": {"precision": "int8"},
    "threads 4": {"threads": 4},
}


@pytest.mark.parametrize("said", OTHERS)
def test_a_baseline_of_something_else_is_an_error_that_names_it(said: str) -> None:
    why, code = decide(report(TIME), report(TIME, **OTHERS[said]))
    assert f"the baseline has {said}" in why
    assert code is ExitCode.DEVICE


def test_a_report_is_no_baseline_of_itself() -> None:
    why, code = decide(report(TIME), report(TIME))
    assert "this very report" in why
    assert code is ExitCode.DEVICE


def test_a_model_of_other_images_is_another_model() -> None:
    ours, before = (
        report(TIME).model_copy(update={"input": Input.model_construct(shape=(1, size, size, 1))})
        for size in (8, 32)
    )
    why, _ = decide(ours, before)
    assert "model input shape (1, 32, 32, 1), this report (1, 8, 8, 1)" in why


def test_each_mismatch_has_a_remedy_of_its_own() -> None:
    found = mismatches(report(TIME), report(TIME, backend="litert", name="other"))
    assert len(found) == 2
    assert "name a report of an earlier build of this model" in found[0]
    assert "the same settings" in found[1]


@pytest.mark.parametrize(
    "newer",
    [
        {"id": "cd" * 32},
        {"bytes": 2},
        {"arms": [arm | {"bytes": 3} for arm in ARMS]},
        {"exporter": "executorch 1.6.0"},
        {"harness": {**HARNESS, "engine": "executorch 1.6.0", "compiler": "13"}},
        {"device": {**DEVICE, "serial": "another of the same kind"}},
    ],
    ids=["id", "bytes", "arms", "exporter", "engine", "serial"],
)
def test_what_a_release_may_change_can_be_compared(newer: dict[str, Any]) -> None:
    why, code = decide(report(TIME, **newer), report(TIME))
    assert why == ""
    assert code is ExitCode.OK


def test_stages_of_other_routes_are_not_compared_by_their_number() -> None:
    document = report(TIME).model_dump(mode="json")
    document["stages"][1]["route"] = "ST"
    before = Report.model_validate(document)
    why, _ = decide(report(TIME), before, "latency_ms.stage-1")
    assert "stage 1 is TT here and ST in the baseline" in why
    assert decide(report(TIME), before, "time") == ("", ExitCode.OK)


def test_arms_of_one_name_and_other_programs_are_not_compared() -> None:
    name = "latency_ms.student"
    ours = report({name: metric(around(5.0)), "latency_ms.teacher": metric(around(5.0))})
    arms = (ours.bundle.arms[0].model_copy(update={"precision": "int8"}), ours.bundle.arms[1])
    update = {"bundle": ours.bundle.model_copy(update={"arms": arms})}
    why, _ = decide(ours, ours.model_copy(update=update), name)
    assert "arm student is SS fp32 here and SS int8 in the baseline" in why
    assert decide(ours, ours.model_copy(update=update), "latency_ms.teacher")[0] == ""


def test_a_suspect_baseline_is_an_error_unless_that_is_allowed() -> None:
    before = report(TIME, verdict="suspect", reasons=[Finding(id="HOT-DEVICE", text="it was hot")])
    why, code = decide(report(TIME), before)
    assert "the baseline is suspect: HOT-DEVICE: it was hot" in why
    assert code is ExitCode.DEVICE
    gate = Gate.model_validate({**SLOWER, "metric": "time"})
    gates = GateFile(gate=(gate,), allow=("HOT-DEVICE",))
    assert exit_code(judge(gates, report(TIME), before)) is ExitCode.OK


def test_an_interval_of_the_baseline_that_holds_zero_decides_nothing() -> None:
    before = report({"time": metric([0.0] * 3 + [5.0] * 4)})
    _, code = decide(report({"time": metric([1.0] * 7)}), before)
    assert code is ExitCode.INCONCLUSIVE


def test_what_became_smaller_than_it_may_is_found_as_what_became_larger() -> None:
    ours, before = (report({"time": metric(around(value, 0.2))}) for value in (7.5, 10.0))
    gate = {"at_least": 0.95, "at_most": None}
    assert decide(ours, before, **gate)[1] is ExitCode.REGRESSION


def test_an_optional_gate_is_judged_only_with_a_baseline() -> None:
    gate = Gate.model_validate({**SLOWER, "metric": "time", "optional": True})
    gates = GateFile(gate=(gate, Gate(name="any", metric="time", at_most=100)))
    assert [j.gate.name for j in judge(gates, report(TIME), None)] == ["any"]
    found = judge(gates, report(TIME), report(TIME, id="cd" * 32))
    assert [j.gate.name for j in found] == ["slower", "any"]


def test_gates_that_are_all_optional_judge_nothing_and_do_not_pass() -> None:
    gate = Gate.model_validate({**SLOWER, "metric": "time", "optional": True})
    judgments = judge(GateFile(gate=(gate,)), report(TIME), None)
    assert "give a --baseline" in judgments[0].why
    assert exit_code(judgments) is ExitCode.DEVICE


def test_a_baseline_that_no_gate_looks_at_is_wrong_usage(tmp_path: Path) -> None:
    path, gates = tmp_path / "report.json", tmp_path / "gates.toml"
    path.write_text(report({"time": metric(around(10.0))}).to_json())
    gates.write_text('[[gate]]\nname = "x"\nmetric = "time"\nat_most = 100\n')
    words = [str(path), "--gates", str(gates)]
    assert CliRunner().invoke(check, words).exit_code == 0
    refused = CliRunner().invoke(check, [*words, "--baseline", str(path)])
    assert refused.exit_code == 2
    assert "no gate compares with the baseline" in refused.output


@pytest.mark.parametrize("name", ["release"])
def test_the_published_release_gates_look_at_a_baseline(name: str) -> None:
    from pipeline.core.toml_file import load_toml

    gates = load_toml(ROOT / "profiles" / "gates" / f"{name}.toml", GateFile)
    assert any(gate.needs_baseline for gate in gates.gate)
