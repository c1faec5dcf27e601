"""Control arms are data: one more in a profile is found in every output."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from pipeline.bundle.layout import control_folder
from pipeline.bundle.verify import open_controls
from pipeline.core.errors import UsageError
from pipeline.core.progress import Silent
from pipeline.model.arm import arms_of
from pipeline.report.gate_file import Gate, GateFile
from pipeline.report.gates import GateVerdict, judge
from pipeline.report.render.curve import curve_file
from pipeline.report.render.html import report_page
from pipeline.report.render.tables import report_tables
from pipeline.report.report_file import load_report
from pipeline.report.schema import Report
from pipeline.report.suspicion import REASON_IDS
from pipeline.settings import ArmSettings
from pipeline.workflows.build_bundle import Build, assemble
from pipeline.workflows.measure_device import write_report
from tests.fixtures import TINY_PROFILE, measured_here, settings_from

ARMS = """
[[arm]]
name = "half"
route = "TTS"

[[arm]]
name = "odd"
route = "STS"
"""


@pytest.fixture(scope="module")
def built(tiny_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Build:
    folder = tmp_path_factory.mktemp("arms")
    settings = settings_from(TINY_PROFILE + ARMS, folder)
    return assemble(settings, folder / "tiny", tiny_cache, Silent())


@pytest.fixture(scope="module")
def report(built: Build) -> Report:
    return measured_here(built.bundle)


def test_control_json_lists_it_with_its_accuracy_and_its_own_golden_logits(built: Build) -> None:
    root = control_folder(built.bundle.root)
    arms = {arm.name: arm for arm in open_controls(root, built.bundle.manifest).arms}
    assert list(arms) == ["student", "teacher", "half", "odd"]
    assert (arms["half"].route, arms["odd"].route) == ("TTS", "STS")
    stages = {stage.route: stage for stage in built.bundle.manifest.stages}
    assert arms["half"].accuracy == stages["TTS"].accuracy
    assert arms["odd"].route not in stages
    logits = (root / arms["odd"].golden.path).read_bytes()
    assert len(logits) == 3 * 10 * 4
    assert logits != (root / arms["half"].golden.path).read_bytes()


def test_it_does_not_ship(built: Build) -> None:
    assert not [path for path in built.bundle.root.rglob("*") if "half" in path.name]


def test_it_is_measured_and_right(report: Report) -> None:
    assert report.validity.verdict != "invalid"
    assert [result.name for result in report.parity][-3:] == ["half", "odd", "chain"]
    assert all(result.passed for result in report.parity)
    for kind in ("ttfi_ms", "process_ms", "peak_rss_mb"):
        assert f"{kind}.odd.warm" in report.metrics
    assert "latency_ms.half" in report.metrics
    assert "control_bytes.odd" in report.metrics
    assert {name for name in report.ratios if "_half" in name} >= {
        "ttfi_over_half.warm",
        "stage2_over_half_ttfi.warm",
        "latency_stage2_over_half",
    }


def test_tables_plots_and_page_show_it(report: Report, tmp_path: Path) -> None:
    out = io.StringIO()
    Console(file=out, width=100).print(report_tables(report))
    assert "first answer: progressive / odd alone" in out.getvalue()
    page = report_page(report)
    for arm in ("half", "odd"):
        assert f">{arm} alone</th>" in page
        assert re.search(f"{arm} alone, prepare: [0-9.]+ ms", page)
        assert re.search(f"{arm} alone: first answer after [0-9.]+ ms", page)
        assert f"{arm} alone" in curve_file(report)
    write_report(report, tmp_path)
    assert load_report(tmp_path / "report.json") == report


def test_a_gate_can_ask_for_it_and_a_wildcard_covers_it(report: Report) -> None:
    gate = Gate(name="parity", metric="parity_over_tolerance.*", at_most=1, integrity=True)
    asked = {
        result.metric: result.verdict for result in judge(GateFile(gate=(gate,)), report, None)
    }
    assert asked["parity_over_tolerance.odd"] is GateVerdict.PASS
    lost = {name: m for name, m in report.metrics.items() if name != "parity_over_tolerance.odd"}
    without = report.model_copy(update={"metrics": lost})
    gates = GateFile.model_validate({"gate": (gate,), "allow": REASON_IDS})
    (result,) = [
        result for result in judge(gates, without, None) if result.verdict is not GateVerdict.PASS
    ]
    assert result.metric == "parity_over_tolerance.odd"


def test_one_of_a_default_s_name_takes_its_place() -> None:
    arms = arms_of([ArmSettings(name="teacher", route="TTS")], 3)
    assert [(arm.name, str(arm.route)) for arm in arms] == [("student", "SSS"), ("teacher", "TTS")]


def test_a_route_of_another_length_is_refused() -> None:
    with pytest.raises(UsageError, match="arm half: route TS has 2 blocks, the model 3"):
        arms_of([ArmSettings(name="half", route="TS")], 3)


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ('[[arm]]\nname = "pwl"\nroute = "TTS"', "what results call the bundle itself"),
        ('[[arm]]\nname = "stage-1"\nroute = "TTS"', "what results call the bundle itself"),
        ('[[arm]]\nname = "two-step"\nroute = "TTT"', "is measured anyway, of student"),
        ('[[arm]]\nname = "chain"\nroute = "TTT"', "is measured anyway, of the last stage"),
        ('[[arm]]\nname = "half"\nroute = "TXS"', "arm.0.route: should be a word of S and T"),
        (ARMS.replace("odd", "half"), "two arms are called 'half'"),
        ('[[arm]]\nname = "half"\nroute = "TTS"\nspeed = 1', "arm.0.speed"),
    ],
)
def test_an_arm_that_cannot_be_meant_is_refused(tables: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        settings_from(f"{TINY_PROFILE}\n{tables}", tmp_path)
    assert said in caught.value.what
