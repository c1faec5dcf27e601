"""The whole way to a phone of another processor, over real ADB: QEMU runs the harness.

What it computes is a phone's; how long it takes is not, and nothing here looks at it.
"""

from __future__ import annotations

import numpy as np
import pytest
from typer.testing import CliRunner

from pipeline.bundle.layout import control_folder
from pipeline.bundle.verify import Bundle, open_controls
from pipeline.core.progress import Silent
from pipeline.device.connect import connect
from pipeline.harness.deploy import deploy
from pipeline.harness.placement import Payload
from pipeline.harness.samples import Logits, Predictions
from pipeline.harness.session import HarnessSession
from pipeline.profile import profile
from pipeline.report.report_file import load_report
from pipeline.report.schema import Report
from pipeline.toolchain.package import Package
from pipeline.workflows import measure_device
from tests.fixtures import ROOT, SMALL_CAMPAIGN


@pytest.fixture(scope="module")
def said_and_report(
    either_bundle: Bundle,
    arm64_package: Package,
    arm64_device: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[str, Report]:
    """What `profile` printed, which had to choose the harness itself, and its report."""
    out = tmp_path_factory.mktemp("arm64") / "report"
    words = [either_bundle.root, "--device", arm64_device, "--rounds", 1, "--fps", "none"]
    words += ["--states", "cold,warm,cold-cached", "--out", out]
    words += ["--work", ROOT / "build"]
    with pytest.MonkeyPatch.context() as context:
        context.setattr(measure_device, "CampaignOptions", SMALL_CAMPAIGN)
        done = CliRunner().invoke(profile, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    return done.output, load_report(out / "report.json")


@pytest.fixture
def report(said_and_report: tuple[str, Report]) -> Report:
    return said_and_report[1]


@pytest.fixture(scope="module")
def here(
    either_bundle: Bundle, harness_package: Package, tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[Logits], list[Predictions]]:
    """What this machine's harness makes of the same bundle."""
    root = control_folder(either_bundle.root)
    payload = Payload(either_bundle, open_controls(root, either_bundle.manifest), root)
    with connect(f"local:{tmp_path_factory.mktemp('device')}") as device:
        installation = deploy(device, harness_package, [payload], Silent())
        session = HarnessSession(device, installation.deployments[0])
        return session.parity(), session.accuracy()


def test_the_harness_is_chosen_by_what_the_device_runs(
    said_and_report: tuple[str, Report],
) -> None:
    said, report = said_and_report
    assert "runs arm64-v8a programs: with the harness linux-arm64" in " ".join(said.split())
    assert report.context.target == "linux-arm64"
    assert report.context.device.abi == report.context.harness.abi == "arm64-v8a"


def test_logits_are_those_of_this_machine(
    report: Report, here: tuple[list[Logits], list[Predictions]]
) -> None:
    ours = {(row.name, row.input): np.array(row.logits) for row in here[0]}
    theirs = {(row.name, row.input): np.array(row.logits) for row in report.runs.logits}
    assert theirs.keys() == ours.keys()
    for name, row in ours.items():
        assert np.abs(theirs[name] - row).max() <= 1e-5 * np.abs(row).max(), name


def test_every_image_gets_the_label_that_it_gets_here(
    report: Report, here: tuple[list[Logits], list[Predictions]]
) -> None:
    assert list(report.runs.predictions) == here[1]
    assert len(here[1]) == len(report.stages) == 4


def test_every_stage_and_control_passes_parity(report: Report) -> None:
    assert [result.passed for result in report.parity] == [True] * 6


def test_starts_and_swaps_run_through_every_stage(report: Report) -> None:
    assert {sample.arm for samples in report.runs.ttfi for sample in samples} == {
        *("pwl", "student", "teacher")
    }
    for starts in report.runs.ttfi:
        assert {start.state for start in starts} == {"cold", "warm", "cold-cached"}
        for start in starts:
            if start.state != "warm":
                assert start.resident_pages == 0, "its files were in memory"
    for samples in report.runs.progress:
        for sample in samples:
            assert [load.stage for load in sample.loads] == [0, 1, 2, 3]


def test_the_report_is_suspect_because_no_app_runs_on_that_c_library(report: Report) -> None:
    assert report.validity.verdict == "suspect"
    found = {reason.id for reason in report.validity.reasons}
    assert {"GLIBC-HARNESS", "EMULATOR"} <= found


def test_files_are_verified_by_the_processor_s_own_instructions(
    built_bundle: Bundle, arm64_package: Package, arm64_device: str
) -> None:
    """SHA-256 in Arm's instructions, which nothing else runs here."""
    root = control_folder(built_bundle.root)
    payload = Payload(built_bundle, open_controls(root, built_bundle.manifest), root)
    with connect(arm64_device) as device:
        deployment = deploy(device, arm64_package, [payload], Silent()).deployments[0]
        plan = deployment.plan.with_name("hashing.plan")
        script = 'sed "s/^verify .*/verify sha256/" "$1" > "$2" && grep -c "verify sha256" "$2"'
        edit = ["sh", "-c", script, "sh", str(deployment.plan), str(plan)]
        assert device.run(edit, deadline_s=30).stdout == b"1\n"
        start = [*deployment.command, "--task", "parity", "--nonce", "x", "--plan", str(plan)]
        assert device.run(start, deadline_s=120).returncode == 0
        unit = deployment.plan.parent / "bundle" / built_bundle.manifest.artifacts[0].path
        spoil = 'printf X | dd of="$1" bs=1 seek=1000 conv=notrunc'
        device.run(["sh", "-c", spoil, "sh", str(unit)], deadline_s=30)
        done = device.run(start, deadline_s=120)
        assert done.returncode == 1
        assert b'"code":"damaged"' in done.stdout
