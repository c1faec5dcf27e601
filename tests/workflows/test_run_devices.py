"""Several devices at once: none spoils another, whatever happens to it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from pipeline.core.errors import DeviceError, ExitCode, UsageError
from pipeline.core.progress import LineRows, Progress
from pipeline.device.base import DeviceProperties
from pipeline.device.identity import this_kernel
from pipeline.report.devices import DeviceResult, status_of
from pipeline.workflows.device_process import _died
from pipeline.workflows.named_devices import NamedDevice
from pipeline.workflows.run_devices import run_devices
from tests.fixtures import ROOT
from tests.no_hang import no_hang
from tests.workflows.fake_devices import FakeWork, lines_of

HARNESS = Path("harness")


def harness_for(properties: DeviceProperties, progress: Progress) -> Path:
    if properties.abi == "riscv64":
        raise UsageError("no compiler for riscv64", "install one")
    return HARNESS / properties.abi


def run(works: Sequence[FakeWork], **named: object) -> dict[str, DeviceResult]:
    """What becomes of devices that all have a name of their own."""
    by_name = {work.name: work for work in works}
    devices = [NamedDevice(name, name, **named) for name in by_name]
    results = run_devices(devices, lambda d: by_name[d.spec], harness_for, LineRows())
    return {result.name: result for result in results}


def test_one_device_that_fails_spoils_no_other(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Of every way to fail, all at once."""
    log = tmp_path / "log"
    faults = ("unreachable", "fails", "dies", "breaks", "wrong")
    works = [FakeWork(name, log, fault=name) for name in faults]
    odd = FakeWork("odd", log, abi="riscv64")
    results = run([*works, FakeWork("well", log), odd])
    assert list(results) == [*faults, "well", "odd"]
    assert {name: result.status for name, result in results.items()} == {
        "unreachable": ExitCode.DEVICE,
        "fails": ExitCode.DEVICE,
        "dies": ExitCode.DEVICE,
        "breaks": ExitCode.DEVICE,
        "wrong": ExitCode.INTEGRITY,
        "well": ExitCode.OK,
        "odd": ExitCode.USAGE,
    }
    assert status_of(results.values()) is ExitCode.INTEGRITY
    assert [name for name, result in results.items() if result.measured] == ["wrong", "well"]
    said = {name: str(result.failure) for name, result in results.items() if result.failure}
    assert said["fails"] == "fails went away\n  remedy: plug it in again"
    assert "ended by SIGKILL" in said["dies"]
    assert "a fault of the pipeline itself (ZeroDivisionError)" in said["breaks"]
    assert "install one" in said["odd"]
    shown = capfd.readouterr().err
    for line in ("well: halfway", "well: measured", "fails: fails went away", "fails: failed"):
        assert line in shown.splitlines()
    assert lines_of(log)["well"] == ["begins with harness/x86_64", "ends"]


@pytest.mark.parametrize(("number", "name"), [(9, "SIGKILL"), (42, "signal 42")])
def test_a_process_that_a_signal_ended_is_told_by_its_name(number: int, name: str) -> None:
    assert f"was ended by {name}" in _died(-number).what


def test_what_runs_on_this_machine_goes_when_all_others_are_through(tmp_path: Path) -> None:
    log, here = tmp_path / "log", this_kernel()
    works = [FakeWork("local", log, kernel=here), FakeWork("loopback", log, kernel=here)]
    results = run([*works, FakeWork("phone", log)])
    assert all(result.measured for result in results.values())
    lines = log.read_text().splitlines()
    assert [line.partition(" ")[0] for line in lines] == [
        *("phone", "phone", "local", "local", "loopback", "loopback")
    ]
    assert results["local"].shares_processor_with == ("loopback",)
    assert results["phone"].shares_processor_with == ()


@pytest.mark.parametrize("listed", [False, True], ids=["named", "all"])
def test_a_device_of_two_names_is_measured_once(listed: bool, tmp_path: Path) -> None:
    log = tmp_path / "log"
    same = {"kernel": "one", "place": "one"}
    names = ("adb:192.168.1.20:5555", "adb:R5CN")
    results = run([FakeWork(name, log, **same) for name in names], listed=listed)
    # The address is what is left out where neither was asked for by its name.
    kept, left = reversed(names)
    assert results[kept].outcome == "measured"
    assert results[left].outcome == ("skipped" if listed else "failed")
    assert results[left].status is (ExitCode.OK if listed else ExitCode.USAGE)
    assert f"{left} is the same device as {kept}" in str(results[left].failure)
    assert [*lines_of(log)] == [kept]


def test_what_the_adb_server_says_of_a_device_is_its_result(tmp_path: Path) -> None:
    offline = DeviceError("adb:a cannot be used: offline", "restart it")
    devices = [NamedDevice("adb:a", "a", True, offline), NamedDevice("adb:b", "b", True)]
    log = tmp_path / "log"
    results = run_devices(devices, lambda d: FakeWork(d.spec, log), harness_for, LineRows())
    assert [result.status for result in results] == [ExitCode.DEVICE, ExitCode.OK]
    assert [*lines_of(log)] == ["adb:b"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_signal_ends_every_device_and_each_cleans_up(
    number: signal.Signals, tmp_path: Path
) -> None:
    """Also where it kills the process that started them all."""
    with started("one=hangs", "other=hangs", cwd=tmp_path) as process:
        wait_for(process, "one: halfway", "other: halfway")
        process.send_signal(number)
        process.communicate()  # until all that have its standard error are gone
    assert process.returncode == -number
    for steps in lines_of(tmp_path / "log").values():
        assert steps == ["begins with harness", "is cleaned up"]


def test_a_second_ctrl_c_ends_what_does_not_want_to_end(tmp_path: Path) -> None:
    with started("one=stubborn", cwd=tmp_path) as process:
        wait_for(process, "one: halfway")
        process.send_signal(signal.SIGINT)
        wait_for(process, "one is cleaned up")
        process.send_signal(signal.SIGINT)
        process.communicate()
    assert process.returncode == -signal.SIGINT


def started(*words: str, cwd: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.workflows.fake_devices", *words],
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def wait_for(process: subprocess.Popen[str], *lines: str) -> None:
    """Returns when it has said each of these lines."""
    assert process.stderr is not None
    missing = {*lines}
    with no_hang(120):
        for line in process.stderr:
            missing.discard(line.rstrip())
            if not missing:
                return
    pytest.fail(f"it never said {missing}")
