from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from pipeline.core.errors import ExitCode, UsageError
from pipeline.core.toml_file import load_toml
from pipeline.device.guards import Finding
from pipeline.device.state import Battery, DeviceState, Thermal
from pipeline.harness.campaign import CampaignOptions
from pipeline.harness.samples import Inferences
from pipeline.report.gate_file import Gate, GateFile
from pipeline.report.gates import GateResult, GateVerdict, exit_code, judge
from pipeline.report.metric_names import expected_metrics
from pipeline.report.ratios import ratios_of
from pipeline.report.render.verdicts import junit_suite, junit_text, markdown
from pipeline.report.report_consistency import report_contradictions
from pipeline.report.schema import Report
from tests.fixtures import ROOT
from tests.report.builder import (
    DEVICE,
    STATE,
    around,
    judged_by_cosine,
    judged_by_pixel,
    measured,
    metric,
    report,
    with_arm,
)

TEN = {"time": metric(around(10.0)), "other": metric(around(40.0)), "exact": metric([0.5])}


def decide(
    gate: dict[str, Any], ours: Report | None = None, baseline: Report | None = None
) -> GateResult:
    gates = GateFile(gate=(Gate.model_validate({"name": "gate", **gate}),))
    results = judge(gates, ours or report(TEN), baseline)
    assert len(results) == 1, results
    return results[0]


@pytest.mark.parametrize(
    ("gate", "verdict"),
    [
        ({"metric": "time", "at_most": 11}, GateVerdict.PASS),
        ({"metric": "time", "at_most": 9}, GateVerdict.REGRESSION),
        ({"metric": "time", "at_most": 10.001}, GateVerdict.INCONCLUSIVE),
        ({"metric": "time", "at_least": 9}, GateVerdict.PASS),
        ({"metric": "time", "at_least": 11}, GateVerdict.REGRESSION),
        ({"metric": "time", "at_least": 9.999}, GateVerdict.INCONCLUSIVE),
        ({"metric": "time", "at_least": 9, "at_most": 11}, GateVerdict.PASS),
        ({"metric": "time", "at_least": 11, "at_most": 12}, GateVerdict.REGRESSION),
        ({"metric": "exact", "at_least": 0.5, "at_most": 0.5}, GateVerdict.PASS),
        ({"metric": "exact", "at_least": 0.500001}, GateVerdict.REGRESSION),
    ],
)
def test_a_limit_is_judged_by_the_whole_interval(
    gate: dict[str, Any], verdict: GateVerdict
) -> None:
    assert decide(gate).verdict is verdict


def test_ratios_are_taken_round_by_round() -> None:
    # Both drift by a factor of three over the run; their ratio does not.
    drift = [1 + 2 * index / 14 for index in range(15)]
    ours = report({"a": metric([10 * d for d in drift]), "b": metric([40 * d for d in drift])})
    result = decide({"metric": "a", "over": "b", "at_most": 0.26, "at_least": 0.24}, ours)
    assert result.verdict is GateVerdict.PASS
    assert result.value is not None
    assert result.value.median == pytest.approx(0.25)


def test_differences_are_taken_between_exact_metrics() -> None:
    ours = report({"final": metric([0.97]), "teacher": metric([0.98])})
    gate = {"metric": "final", "minus": "teacher", "at_least": -0.005}
    assert decide(gate, ours).verdict is GateVerdict.REGRESSION
    assert decide({**gate, "at_least": -0.02}, ours).verdict is GateVerdict.PASS


def test_a_metric_that_is_not_there_is_an_error_that_names_the_nearest() -> None:
    result = decide({"metric": "tine", "at_most": 1})
    assert result.verdict is GateVerdict.ERROR
    assert "did you mean time?" in result.why
    assert decide({"metric": "time", "over": "no", "at_most": 1}).verdict is GateVerdict.ERROR


def test_a_ratio_of_the_report_is_judged_by_its_name() -> None:
    samples = {"ttfi_ms.pwl.warm": metric(around(20)), "ttfi_ms.teacher.warm": metric(around(40))}
    made = report(samples)
    made = made.model_copy(
        update={"ratios": ratios_of(made.metrics, made.bundle.arms, made.stages)}
    )
    for name in ("ttfi_over_teacher.warm", "ttfi_over_*"):
        result = decide({"metric": name, "at_most": 0.6}, made)
        assert (result.metric, result.verdict) == ("ttfi_over_teacher.warm", GateVerdict.PASS)
    gate = {"metric": "ttfi_over_teacher.warm", "at_most": 0.4}
    assert decide(gate, made).verdict is GateVerdict.REGRESSION
    assert decide({**gate, "over": "baseline"}, made).verdict is GateVerdict.ERROR
    wrong = decide({**gate, "metric": "ttfi_over_teachr.warm"}, made)
    assert "did you mean ttfi_over_teacher.warm?" in wrong.why


def test_a_star_judges_every_metric_that_fits() -> None:
    gates = GateFile(gate=(Gate(name="all", metric="swap_*.1", at_least=0.9),))
    ours = report({"swap_commit_ms.1": metric([0.85]), "swap_of_all.1": metric([0.95])})
    verdicts = {j.metric: j.verdict for j in judge(gates, ours, None)}
    assert verdicts == {
        "swap_commit_ms.1": GateVerdict.REGRESSION,
        "swap_of_all.1": GateVerdict.PASS,
    }


BASELINE = {"metric": "time", "over": "baseline", "at_most": 1.1}


@pytest.mark.parametrize(
    ("value", "spread", "verdict"),
    [
        (10.0, 0.01, GateVerdict.PASS),
        (15.0, 0.01, GateVerdict.REGRESSION),
        (11.0, 0.05, GateVerdict.INCONCLUSIVE),
        (12.4, 0.2, GateVerdict.REGRESSION),  # intervals overlap, but the shift is significant
    ],
)
def test_a_baseline_is_compared_across_sessions(
    value: float, spread: float, verdict: GateVerdict
) -> None:
    before = report({"time": metric(around(10.0, spread))}, id="cd" * 32)
    ours = report({"time": metric(around(value, spread))})
    assert decide(BASELINE, ours, before).verdict is verdict


def test_a_gate_over_a_baseline_without_one_is_an_error() -> None:
    result = decide(BASELINE)
    assert result.verdict is GateVerdict.ERROR
    assert "--baseline" in result.why


def test_a_baseline_of_another_device_is_an_error() -> None:
    before = report(TEN, device={**DEVICE, "model": "Other board"})
    gates = GateFile(gate=(Gate.model_validate({"name": "gate", **BASELINE}),))
    first, *_ = judge(gates, report(TEN), before)
    assert first.verdict is GateVerdict.ERROR
    assert "Other board" in first.why


def test_a_suspect_report_is_not_judged_unless_that_is_allowed() -> None:
    ours = report(TEN, verdict="suspect", reasons=[Finding(id="HOT-DEVICE", text="it was hot")])
    gate = Gate(name="gate", metric="time", at_most=11)
    results = judge(GateFile(gate=(gate,)), ours, None)
    assert results[0].verdict is GateVerdict.ERROR
    assert "HOT-DEVICE: it was hot" in results[0].why
    assert len(judge(GateFile(gate=(gate,), allow=("HOT-DEVICE",)), ours, None)) == 1


def test_what_is_allowed_is_allowed_one_by_one() -> None:
    found = [Finding(id=name, text="so") for name in ("HOT-DEVICE", "EMULATOR")]
    ours = report(TEN, verdict="suspect", reasons=found)
    gates = GateFile(gate=(Gate(name="gate", metric="time", at_most=11),), allow=("EMULATOR",))
    assert judge(gates, ours, None)[0].why == "the report is suspect: HOT-DEVICE: so"


def test_a_suspect_report_that_does_not_say_of_what_is_not_judged() -> None:
    gates = GateFile(gate=(Gate(name="gate", metric="time", at_most=11),), allow=("EMULATOR",))
    results = judge(gates, report(TEN, verdict="suspect"), None)
    assert exit_code(results) is ExitCode.DEVICE


def test_the_key_of_old_is_answered_with_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "gates.toml"
    path.write_text('allow_suspect = true\n[[gate]]\nname = "x"\nmetric = "y"\nat_most = 1\n')
    with pytest.raises(UsageError, match=r'allow = \["BUSY-DEVICE"\]'):
        load_toml(path, GateFile)


def test_only_what_is_known_can_be_allowed(tmp_path: Path) -> None:
    path = tmp_path / "gates.toml"
    path.write_text('allow = ["WRONG-RESULTS"]\n[[gate]]\nname = "x"\nmetric = "y"\nat_most = 1\n')
    with pytest.raises(UsageError, match="EMULATOR"):
        load_toml(path, GateFile)


def result(verdict: GateVerdict, *, integrity: bool = False) -> GateResult:
    gate = Gate(name="gate", metric="time", at_most=1, integrity=integrity)
    return GateResult(gate, "time", verdict, None, "because")


@pytest.mark.parametrize(
    ("results", "code"),
    [
        ([result(GateVerdict.PASS)], ExitCode.OK),
        ([result(GateVerdict.PASS), result(GateVerdict.INCONCLUSIVE)], ExitCode.INCONCLUSIVE),
        ([result(GateVerdict.INCONCLUSIVE), result(GateVerdict.ERROR)], ExitCode.DEVICE),
        ([result(GateVerdict.ERROR), result(GateVerdict.REGRESSION)], ExitCode.REGRESSION),
        (
            [result(GateVerdict.REGRESSION), result(GateVerdict.REGRESSION, integrity=True)],
            ExitCode.INTEGRITY,
        ),
    ],
)
def test_the_exit_code_is_that_of_the_gravest_verdict(
    results: list[GateResult], code: ExitCode
) -> None:
    assert exit_code(results) is code


@pytest.mark.parametrize(
    ("gate", "said"),
    [
        ('name = "x"\nmetric = "time"', "give at_most, at_least or both"),
        ('name = "x"\nmetric = "time"\nat_mots = 3', "did you mean 'at_most'?"),
        ('name = "x"\nmetric = "t"\nover = "a"\nminus = "b"\nat_most = 1', "exclude each other"),
        ('name = "x"\nmetric = "t"\nat_most = 1\nat_least = 2', "at_most is less than at_least"),
        ('name = "x"\nmetric = "t"\nat_least = true', "at_least"),
        ('name = "x"\nmetric = "t"\nat_least = "0.9"', "at_least"),
    ],
)
def test_a_wrong_gates_file_is_refused(gate: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "gates.toml"
    path.write_text(f"[[gate]]\n{gate}\n")
    with pytest.raises(UsageError) as caught:
        load_toml(path, GateFile)
    assert said in caught.value.what


def test_a_gates_file_without_gates_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "gates.toml"
    path.write_text("gate = []")
    with pytest.raises(UsageError):
        load_toml(path, GateFile)


@pytest.mark.parametrize("path", sorted((ROOT / "profiles" / "gates").glob("*.toml")))
def test_published_gates_are_valid(path: Path) -> None:
    assert load_toml(path, GateFile).gate


def published(name: str) -> GateFile:
    return load_toml(ROOT / "profiles" / "gates" / f"{name}.toml", GateFile)


@pytest.mark.parametrize("name", ["release", "ci"])
@pytest.mark.parametrize("correct", [100, 690, 999])
def test_a_sound_model_of_any_accuracy_passes(name: str, correct: int) -> None:
    # One tie more or less than on the host.
    for ours in (measured(correct, correct), measured(correct, correct + 1, differing=1)):
        results = judge(published(name), ours, None)
        assert exit_code(results) is ExitCode.OK, results


def test_every_gate_but_those_of_the_demo_is_relative() -> None:
    for name in ("release", "ci"):
        metrics = {gate.metric for gate in published(name).gate if not (gate.over or gate.minus)}
        assert {metric.partition(".")[0] for metric in metrics} == {
            *("parity_over_tolerance", "differing_over_allowed", "bundle_over_controls"),
            *("accuracy_minus_host", "accuracy_minus_host_low"),
        } | ({"model_warnings"} if name == "release" else set())


@pytest.mark.parametrize("name", ["release", "ci"])
def test_an_accuracy_far_below_the_host_s_fails(name: str) -> None:
    ours = measured(600, 690, differing=90)
    verdicts = {j.metric: j.verdict for j in judge(published(name), ours, None)}
    assert verdicts["accuracy_minus_host_low.final"] is GateVerdict.REGRESSION
    assert verdicts["accuracy_minus_host.0"] is GateVerdict.REGRESSION
    assert verdicts["differing_over_allowed.0"] is GateVerdict.REGRESSION
    assert exit_code(judge(published(name), ours, None)) is ExitCode.INTEGRITY


WHOLE = measured(900, 900)
#: One metric of each kind: the last stage's, arm's or start state's.
ONE_OF_EACH = {
    name.partition(".")[0]: name
    for name in sorted(expected_metrics(WHOLE))
    # These take more inferences than it has.
    if "." in name
    and not name.startswith(("latency_during_load_ms", "first_after_swap_over_steady"))
}


@pytest.mark.parametrize("name", ONE_OF_EACH.values())
def test_a_star_is_about_every_metric_that_stages_arms_and_states_call_for(name: str) -> None:
    star = ".".join([name.partition(".")[0], "*"])
    gates = GateFile(gate=(Gate(name="all", metric=star, at_least=-1),))
    assert all(j.verdict is GateVerdict.PASS for j in judge(gates, WHOLE, None) if j.metric == name)
    metrics = {key: value for key, value in WHOLE.metrics.items() if key != name}
    left = WHOLE.model_copy(update={"metrics": metrics})
    results = judge(gates, left, None)
    (lost,) = (j for j in results if j.metric == name)
    assert lost.verdict is GateVerdict.ERROR
    assert f"the report lacks {name}" in lost.why
    assert exit_code(results) is ExitCode.DEVICE


EMBEDS, MAPS = judged_by_cosine(WHOLE), judged_by_pixel(WHOLE)


@pytest.mark.parametrize(
    ("whole", "name"),
    [
        (EMBEDS, "parity_cosine.teacher"),
        (EMBEDS, "accuracy.final"),
        (EMBEDS, "bundle_bytes"),
        (MAPS, "accuracy.0"),
        (MAPS, "balanced_accuracy.1"),
        (MAPS, "mean_iou.0"),
        (MAPS, "mean_iou.final"),
        (MAPS, "differing_over_allowed.1"),
    ],
)
def test_what_is_missing_of_any_kind_of_answers_is_not_passed_over(
    whole: Report, name: str
) -> None:
    star = name[:8] + "*"
    gates = GateFile(gate=(Gate(name="all", metric=star, at_least=-1),))
    assert exit_code(judge(gates, whole, None)) is ExitCode.OK
    metrics = {key: value for key, value in whole.metrics.items() if key != name}
    results = judge(gates, whole.model_copy(update={"metrics": metrics}), None)
    (lost,) = (j for j in results if j.verdict is not GateVerdict.PASS)
    assert (lost.metric, lost.verdict) == (name, GateVerdict.ERROR)


def test_every_metric_that_a_report_has_is_one_that_it_should_have() -> None:
    for one in (WHOLE, EMBEDS, MAPS):
        assert not list(report_contradictions(one))
        more = one.metrics.keys() - expected_metrics(one)
        assert {name.partition(".")[0] for name in more} <= {"cache_bytes"}  # no state's but one


def test_a_start_state_that_was_asked_for_and_not_measured_is_not_passed_over() -> None:
    options = CampaignOptions(states=("cold-cached", "warm"))
    context = WHOLE.context.model_copy(update={"options": options})
    gates = GateFile(gate=(Gate(name="all", metric="ttfi_ms.pwl.*", at_most=1),))
    results = judge(gates, WHOLE.model_copy(update={"context": context}), None)
    verdicts = {j.metric: j.verdict for j in results}
    assert verdicts["ttfi_ms.pwl.cold-cached"] is GateVerdict.ERROR


CHAIN = with_arm(WHOLE, "chain")
OVER_ALL = GateFile(gate=(Gate(name="starts", metric="ttfi_ms.*", over="baseline", at_most=1.1),))


def test_an_arm_that_the_baseline_has_not_is_told_and_all_others_are_compared() -> None:
    results = judge(OVER_ALL, CHAIN, WHOLE)
    new = {each.metric: each for each in results if each.verdict is GateVerdict.SKIPPED}
    assert new.keys() == {"ttfi_ms.chain.cold", "ttfi_ms.chain.warm"}
    assert "the baseline was measured without" in new["ttfi_ms.chain.cold"].why
    compared = [each for each in results if each.metric not in new]
    assert len(compared) == 6
    assert {each.verdict for each in compared} == {GateVerdict.PASS}
    assert exit_code(results) is ExitCode.OK
    assert junit_suite(CHAIN, results).get("skipped") == "2"
    assert markdown(CHAIN, results).count("skipped |") == 2
    # What is asked for by its name, or new as a whole, is not passed over.
    for pattern in ("ttfi_ms.chain.cold", "ttfi_ms.chain.*"):
        gates = GateFile(gate=(OVER_ALL.gate[0].model_copy(update={"metric": pattern}),))
        assert exit_code(judge(gates, CHAIN, WHOLE)) is ExitCode.DEVICE


def test_an_arm_that_only_the_baseline_has_is_not_passed_over() -> None:
    results = judge(OVER_ALL, WHOLE, CHAIN)
    lost = [each for each in results if each.verdict is not GateVerdict.PASS]
    assert [each.metric for each in lost] == ["ttfi_ms.chain.cold", "ttfi_ms.chain.warm"]
    assert "this report has not" in lost[0].why
    assert exit_code(results) is ExitCode.DEVICE


def test_a_metric_that_the_baseline_should_have_is_not_called_new() -> None:
    metrics = {k: v for k, v in WHOLE.metrics.items() if k != "ttfi_ms.teacher.cold"}
    results = judge(OVER_ALL, CHAIN, WHOLE.model_copy(update={"metrics": metrics}))
    (wrong,) = (each for each in results if each.verdict is GateVerdict.ERROR)
    assert wrong.why == "the baseline has no metric ttfi_ms.teacher.cold"


@pytest.mark.parametrize("name", ["latency_during_load_ms.*", "swap_stall"])
def test_loads_shorter_than_an_inference_are_told_as_such(name: str) -> None:
    gate = Gate(name="stall", metric=name, at_most=2)
    others = Gate(name="all", metric="bundle_bytes", at_most=2)
    (result,) = judge(GateFile(gate=(gate,)), WHOLE, None)
    assert result.verdict is GateVerdict.INCONCLUSIVE
    assert result.why.startswith("not measured: no inference ran during any of 1 loads")
    optional = gate.model_copy(update={"optional": True})
    results = judge(GateFile(gate=(optional, others)), WHOLE, None)
    assert [each.verdict for each in results] == [GateVerdict.SKIPPED, GateVerdict.PASS]
    assert exit_code(results) is ExitCode.OK
    assert exit_code(judge(GateFile(gate=(optional,)), WHOLE, None)) is ExitCode.DEVICE


def test_a_latency_during_loads_that_should_be_there_is_an_error_even_if_optional() -> None:
    (paced,) = WHOLE.runs.paced
    during = Inferences(begin_ns=(0, 2), duration_ns=(2, 1), cpu_ns=(1, 1), stage=(0, 1))
    runs = WHOLE.runs.model_copy(
        update={"paced": (paced.model_copy(update={"inferences": during}),)}
    )
    gate = Gate(name="stall", metric="latency_during_load_ms.1", at_most=2, optional=True)
    (result,) = judge(GateFile(gate=(gate,)), WHOLE.model_copy(update={"runs": runs}), None)
    assert result.verdict is GateVerdict.ERROR
    assert "the report lacks" in result.why


def test_a_ratio_over_a_metric_that_is_zero_in_some_round_is_an_error() -> None:
    ours = report({"a": metric([1.0, 1.0]), "b": metric([0.0, 1.0])})
    result = decide({"metric": "a", "over": "b", "at_most": 5}, ours)
    assert result.verdict is GateVerdict.ERROR
    assert "or the latter is 0" in result.why


def test_the_samples_decide_and_not_what_is_said_of_them() -> None:
    said = metric(around(10.0)).model_copy(update={"low": 10.0, "high": 10.0})
    result = decide({"metric": "time", "at_most": 10.001}, report({"time": said}))
    assert result.verdict is GateVerdict.INCONCLUSIVE


@pytest.mark.parametrize("limit", ["nan", "inf", "-inf"])
def test_a_limit_that_is_no_number_is_refused(limit: str, tmp_path: Path) -> None:
    path = tmp_path / "gates.toml"
    path.write_text(f'[[gate]]\nname = "x"\nmetric = "time"\nat_most = {limit}\n')
    with pytest.raises(UsageError, match="at_most"):
        load_toml(path, GateFile)


ALL = [result(verdict) for verdict in GateVerdict]


BUSY = {"before": STATE.model_copy(update={"busy_share": 0.9})}
HOT = {"after": DeviceState(thermal=Thermal(hottest_celsius=90.0))}
EMPTY = {"between": (STATE, DeviceState(battery=Battery(level_percent=5)))}


@pytest.mark.parametrize(
    ("context", "said"),
    [
        (BUSY, "BUSY-DEVICE: 90% of its processors' time is in use (25% may be), before"),
        (HOT, "HOT-DEVICE: its hottest sensor reads 90 °C (80 is too hot), after"),
        (EMPTY, "LOW-BATTERY: its battery is at 5 % (25 are needed), at 1 of 2 looks between"),
    ],
)
def test_what_speaks_against_the_timings_is_seen_whatever_the_verdict_says(
    context: dict[str, Any], said: str
) -> None:
    ours = report(TEN)
    ours = ours.model_copy(update={"context": ours.context.model_copy(update=context)})
    gate = Gate(name="time", metric="time", at_most=99)
    results = judge(GateFile(gate=(gate,)), ours, None)
    assert said in results[0].why
    assert exit_code(results) is ExitCode.DEVICE
    allowed = GateFile.model_validate({"gate": (gate,), "allow": [said.partition(":")[0]]})
    assert exit_code(judge(allowed, ours, None)) is ExitCode.OK


def test_a_verdict_is_not_believed_that_its_own_reasons_deny() -> None:
    ours = report(
        TEN, verdict="valid", reasons=[Finding(id="CACHE-NOT-DROPPED", text="no cold starts")]
    )
    results = judge(GateFile(gate=(Gate(name="time", metric="time", at_most=99),)), ours, None)
    assert "no cold starts" in results[0].why


def test_junit_tells_failures_errors_and_skips_apart() -> None:
    suite = ElementTree.fromstring(junit_text(junit_suite(report(TEN), ALL)))
    assert suite.attrib["tests"] == "5"
    counts = {key: suite.attrib[key] for key in ("failures", "errors", "skipped")}
    assert counts == {"failures": "1", "errors": "1", "skipped": "2"}
    tags = ["system-out", "failure", "skipped", "error", "skipped"]
    assert [case[0].tag for case in suite] == tags


def test_markdown_is_a_table_with_a_row_a_gate() -> None:
    text = markdown(report(TEN), ALL)
    assert text.startswith("## tiny `abababababab`: 1 pass, 1 regression, 1 inconclusive, 1 error")
    rows = [line for line in text.splitlines() if line.startswith("| gate")]
    assert len(rows) == 1 + len(ALL)
