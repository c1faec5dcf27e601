"""Measuring a phone, which the loopback device with its stand-ins is taken for."""

from __future__ import annotations

import os
import subprocess
import uuid
from pathlib import Path, PurePosixPath

import pytest

from pipeline.bundle.verify import Bundle
from pipeline.core.progress import Silent
from pipeline.device.admission import GuardOptions, NotFitError
from pipeline.device.connect import connect
from pipeline.report.schema import Report
from pipeline.toolchain.package import Package
from pipeline.workflows import measure_device
from pipeline.workflows.measure_device import ProfileOptions, measure
from tests.device.phone import POWER, Phone
from tests.fixtures import SMALL_CAMPAIGN
from tests.test_end_to_end import run

#: The first one is little, where there are others: see scripts/loopback/stand_ins.py.
BIG_CORES = tuple(range(os.cpu_count() or 1))[1:] or (0,)


def profiled(phone: Phone, bundle: Bundle, tmp_path: Path, *words: str) -> tuple[str, int, str]:
    """What the command says, its status, and what then lies on the device."""
    folder = f"/data/local/tmp/{uuid.uuid4().hex}"
    done: subprocess.CompletedProcess[str] = run(
        *("pipeline.profile", bundle.root, "--device", phone.spec, "--device-folder", folder),
        *("--out", tmp_path / "out", "--work", tmp_path / "work", "--wait", 0, *words),
    )
    with connect(phone.spec) as device:
        left = device.run(["ls", folder], deadline_s=10).stdout.decode()
        device.run(["rm", "-rf", folder], deadline_s=10)
    return done.stderr, done.returncode, left


def test_a_phone_is_refused_before_anything_is_built_or_sent(
    phone: Phone, built_bundle: Bundle, tmp_path: Path
) -> None:
    phone.says(POWER, "  mWakefulness=Asleep\n")
    said, status, left = profiled(phone, built_bundle, tmp_path)
    assert status == 3
    assert "SCREEN-OFF: its screen is off" in said
    assert "--allow SCREEN-OFF" in said
    assert left == ""
    assert not (tmp_path / "work").exists()
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--allow", "SCREEN"), "--allow SCREEN: no guard"),
        (("--cores", "fast"), "--cores fast: no cores"),
        (("--cores", "7-4"), "--cores 7-4: no cores"),
        (("--fps", "30,fast"), "--fps '30,fast'"),
        (("--fps", "30,30"), "--fps '30,30'"),
        (("--fps", "0"), "--fps '0'"),
    ],
)
def test_a_wrong_option_ends_with_two(
    words: tuple[str, ...], said: str, built_bundle: Bundle, tmp_path: Path
) -> None:
    done = run("pipeline.profile", built_bundle.root, "--out", tmp_path / "out", *words)
    assert done.returncode == 2
    assert said in done.stderr


@pytest.fixture
def measured(
    phone: Phone,
    built_bundle: Bundle,
    harness_package: Package,
    monkeypatch: pytest.MonkeyPatch,
) -> Report:
    """A phone that sleeps, which is allowed, measured on its big cores."""
    monkeypatch.setattr(measure_device, "CampaignOptions", SMALL_CAMPAIGN)
    phone.says(POWER, "  mWakefulness=Asleep\n")
    options = ProfileOptions(
        device=phone.spec,
        rounds=1,
        fps=(),
        harness=harness_package.root,
        cores="big",
        guards=GuardOptions(
            allow=("THROTTLED", "SCREEN-OFF", "BUSY-DEVICE", "LOW-SPACE", "OTHER-LOAD"), wait_s=0
        ),
        device_folder=PurePosixPath("/data/local/tmp/pwl"),
    )
    return measure(built_bundle.root, options, Silent())


def test_what_was_allowed_stamps_the_report(measured: Report) -> None:
    context = measured.context
    assert "SCREEN-OFF" in context.allowed
    assert context.device.sdk == 34
    assert context.before.screen_on is context.after.screen_on is False
    assert [state.battery.level_percent for state in context.between] == [57] * 3
    reasons = {reason.id for reason in measured.validity.reasons}
    assert {"SCREEN-OFF", "GLIBC-HARNESS"} <= reasons
    assert measured.validity.verdict == "suspect"
    # Where it ran is what the harness says, not what it was told.
    assert context.cores == context.harness.cores == BIG_CORES
    assert context.dropping == "property"
    cold = [one for one in measured.runs.ttfi[0] if one.state == "cold"]
    assert [one.resident_pages for one in cold] == [0, 0, 0, 0]


def test_a_phone_that_keeps_files_in_memory_is_refused_when_that_shows(
    small_phone: Phone,
    built_bundle: Bundle,
    harness_package: Package,
) -> None:
    options = ProfileOptions(
        device=small_phone.spec,
        harness=harness_package.root,
        guards=GuardOptions(
            allow=("THROTTLED", "BUSY-DEVICE", "LOW-SPACE", "OTHER-LOAD"), wait_s=0
        ),
    )
    with pytest.raises(NotFitError, match=r"CACHE-NOT-DROPPED: .* pages stay in memory") as caught:
        measure(built_bundle.root, options, Silent())
    assert "--states warm" in caught.value.remedy
    assert "--allow CACHE-NOT-DROPPED" in caught.value.remedy
