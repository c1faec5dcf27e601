"""Several devices at once: none spoils another, whatever happens to it."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from pipeline.core.errors import DeviceError, ExitCode, UsageError
from pipeline.core.progress import LineRows, Progress
from pipeline.device.base import DeviceProperties
from pipeline.device.identity import this_kernel
from pipeline.report.devices import DeviceResult, status_of
from pipeline.workflows.named_devices import NamedDevice
from pipeline.workflows.run_devices import run_devices
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


def test_ctrl_c_ends_every_device_and_each_cleans_up(tmp_path: Path) -> None:
    log = tmp_path / "log"
    names = ("one", "other")

    def interrupt() -> None:
        while {*lines_of(log)} != {*names}:
            time.sleep(0.02)
        signal.pthread_kill(main, signal.SIGINT)

    main = threading.main_thread().ident
    assert main is not None
    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        run([FakeWork(name, log, fault="hangs") for name in names])
    for name in names:
        assert lines_of(log)[name][1:] == ["is cleaned up"]
