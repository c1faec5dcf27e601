"""Two runs at once, on one device and on one machine: never a report that mixes them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import pytest

from pipeline.bundle.verify import Bundle
from pipeline.core.errors import DeviceError, IntegrityError
from pipeline.core.locks import BusyError
from pipeline.core.progress import Silent
from pipeline.device.connect import connect
from pipeline.harness.campaign import Campaign
from pipeline.harness.session import HarnessSession
from pipeline.toolchain.package import Package
from pipeline.workflows import measure_device
from pipeline.workflows.measure_device import ProfileOptions, measure
from tests.fixtures import ROOT, TINY_PROFILE
from tests.holder import holder


def run(*words: object, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *map(str, words)]
    env = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": "/nonexistent"}
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False, env=env)


@pytest.fixture(params=["local", "adb"])
def spec(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "local":
        return f"local:{tmp_path / 'device'}"
    adb: str = request.getfixturevalue("loopback_device")
    return adb


def test_a_device_in_use_ends_profile_with_three_and_nothing_is_touched(
    spec: str, built_bundle: Bundle, harness_package: Package, tmp_path: Path
) -> None:
    with connect(spec) as device:
        kept = device.workdir / "bundles" / "tiny-executorch" / "kept"
        device.run(["mkdir", "-p", str(kept.parent)], deadline_s=10)
        device.run(["touch", str(kept)], deadline_s=10)
        with holder("device", spec) as other:
            words = ("pipeline.profile", built_bundle.root, "--device", spec, "--rounds", 1)
            words = (*words, "--fps", "none", "--out", tmp_path / "out")
            done = run(*words, "--harness", harness_package.root)
        assert device.run(["rm", str(kept)], deadline_s=10).returncode == 0
    assert done.returncode == 3
    assert f"process {other.pid}, since" in done.stderr
    assert "remedy: wait for its end" in done.stderr
    assert not (tmp_path / "out").exists()


def test_the_device_is_locked_while_it_is_measured(
    spec: str,
    built_bundle: Bundle,
    harness_package: Package,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def during(sessions: Sequence[HarnessSession], *_: object) -> list[Campaign]:
        with connect(spec) as second, pytest.raises(BusyError):
            second.lock()
        raise KeyboardInterrupt  # no more is needed

    monkeypatch.setattr(measure_device, "run_campaigns", during)
    with pytest.raises(KeyboardInterrupt):
        measure(built_bundle.root, ProfileOptions(spec, harness=harness_package.root), Silent())
    with connect(spec) as second, second.lock():
        pass


@pytest.mark.parametrize("victim", ["bundle/eval/images.u8", "measurement.plan", "../../.lock"])
def test_what_was_replaced_while_it_was_measured_gives_no_report(
    spec: str,
    victim: str,
    built_bundle: Bundle,
    harness_package: Package,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As a run of an older release does, which knows no lock, or a person who tidies up."""

    def spoiled(sessions: Sequence[HarnessSession], *_: object) -> list[Campaign]:
        home = PurePosixPath(sessions[0].deployment.plan).parent
        campaigns = [Campaign(session.info()) for session in sessions]
        with connect(spec) as second:
            words = ["sh", "-c", 'rm "$1" && echo other >"$1"', "sh", str(home / victim)]
            assert second.run(words, deadline_s=10).returncode == 0
        return campaigns

    monkeypatch.setattr(measure_device, "run_campaigns", spoiled)
    error = DeviceError if "lock" in victim else IntegrityError
    with pytest.raises(error, match=r"while (they were|it was) "):
        measure(built_bundle.root, ProfileOptions(spec, harness=harness_package.root), Silent())


def test_a_report_that_another_run_writes_ends_profile_with_three(
    built_bundle: Bundle, tmp_path: Path
) -> None:
    with holder("folder", tmp_path / "out"):
        words = ("pipeline.profile", built_bundle.root, "--device", f"local:{tmp_path / 'device'}")
        done = run(*words, "--out", tmp_path / "out")
    assert done.returncode == 3
    assert f"{tmp_path / 'out'} is in use by" in done.stderr
    assert "--out" in done.stderr
    assert not (tmp_path / "device").exists()


def test_logits_that_another_run_writes_end_evaluate_with_three(tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", np.zeros((1, 1, 8, 8), np.float32))
    out = tmp_path / "logits.npz"
    with holder("replaced", out):
        words = ("none.safetensors", "--inputs", tmp_path / "images.npy", "--logits", out)
        done = run("pipeline.evaluate", *words, cwd=tmp_path)
    assert done.returncode == 3
    assert f"{out} is in use by" in done.stderr


def test_logs_that_another_run_writes_end_train_with_three(tmp_path: Path) -> None:
    (tmp_path / "tiny.toml").write_text(TINY_PROFILE)
    with holder("folder", tmp_path / "logs"):
        done = run("pipeline.train", "tiny.toml", "--logs", "logs", cwd=tmp_path)
    assert done.returncode == 3
    assert "logs is in use by" in done.stderr
    assert not (tmp_path / "build").exists()
