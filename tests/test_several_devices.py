"""Several devices in one command, through the real path: loopback devices and this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.bundle.verify import Bundle
from pipeline.core.atomic_files import sha256_of
from pipeline.device.connect import connect
from pipeline.report.devices import DevicesReport, load_devices
from pipeline.report.report_file import load_report
from pipeline.toolchain.package import Package
from tests.fixtures import ROOT
from tests.no_hang import no_hang

pytestmark = pytest.mark.usefixtures("every_processor")
CHEAP = ("--rounds", "1", "--states", "warm", "--fps", "none")
NOBODY = "adb:127.0.0.1:1"

Start = Callable[..., dict[str, Any]]


def command(bundle: Bundle, package: Package, out: Path, *devices: str) -> list[str]:
    words = [sys.executable, "-m", "pipeline.profile", str(bundle.root), *CHEAP]
    words += ["--harness", str(package.root), "--out", str(out)]
    return [*words, *(word for device in devices for word in ("--device", device))]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def run(words: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, env=environment(), check=False)


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"local:{tmp_path_factory.mktemp('device')}"


@pytest.fixture(scope="module")
def measured(
    local: str,
    loopback_device: str,
    start_loopback: Start,
    built_bundle: Bundle,
    harness_package: Package,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """Three devices, one of them by two names, and one that is not there."""
    out = tmp_path_factory.mktemp("several") / "out"
    other = start_loopback()["spec"]
    again = loopback_device.replace("127.0.0.1", "localhost")
    devices = (local, loopback_device, other, again, NOBODY)
    return out, run(command(built_bundle, harness_package, out, *devices))


@pytest.fixture(scope="module")
def side_by_side(measured: tuple[Path, subprocess.CompletedProcess[str]]) -> DevicesReport:
    assert "Traceback" not in measured[1].stderr
    return load_devices(measured[0] / "devices.json")


def test_each_device_has_a_report_of_its_own(
    measured: tuple[Path, subprocess.CompletedProcess[str]], side_by_side: DevicesReport
) -> None:
    out = measured[0]
    assert len(side_by_side.measured) == 3
    for _, found in side_by_side.measured:
        path = out / found.folder / "report.json"
        assert sha256_of(path) == found.sha256
        report = load_report(path)
        assert report.context.device == found.device
        assert report.bundle == side_by_side.bundle
        assert {*found.metrics} == {*report.metrics}
        assert (out / found.folder / "report.html").is_file()
    assert not [*out.rglob(".*")]


def test_a_failing_device_and_one_of_two_names_are_told_with_a_remedy(
    measured: tuple[Path, subprocess.CompletedProcess[str]], side_by_side: DevicesReport
) -> None:
    outcomes = {result.name: result.status for result in side_by_side.devices}
    assert [*outcomes.values()] == [0, 0, 0, 2, 3]
    assert measured[1].returncode == side_by_side.status == 2
    said = measured[1].stderr
    assert f"error: {NOBODY}: nothing listens at 127.0.0.1:1\n  remedy: " in said
    assert "is the same device as adb:127.0.0.1:" in said


def test_what_shares_a_processor_is_measured_one_after_the_other(
    measured: tuple[Path, subprocess.CompletedProcess[str]], side_by_side: DevicesReport
) -> None:
    names = [name for name, _ in side_by_side.measured]
    for result in side_by_side.devices[:3]:
        assert {*result.shares_processor_with} == {*names} - {result.name}
    lines = measured[1].stderr.splitlines()
    ends = [line.removesuffix(": measured") for line in lines if line.endswith(": measured")]
    assert ends == names


def test_the_terminal_shows_them_side_by_side(
    measured: tuple[Path, subprocess.CompletedProcess[str]], side_by_side: DevicesReport
) -> None:
    lines = measured[1].stdout.splitlines()
    assert max(len(line) for line in lines if "/out/devices." not in line) <= 100
    assert sum("warm start" in line for line in lines) == 1
    page = (measured[0] / "devices.html").read_text()
    assert page.count("<svg") == 4
    for result in side_by_side.devices:
        assert result.name in page


def test_a_device_that_vanishes_while_it_is_measured_stops_no_other(
    local: str,
    start_loopback: Start,
    built_bundle: Bundle,
    harness_package: Package,
    tmp_path: Path,
) -> None:
    victim = start_loopback()
    words = command(built_bundle, harness_package, tmp_path / "out", victim["spec"], local)
    with _started(words) as process:
        _wait_for(process, f"{victim['spec']}: parity and accuracy: done")
        os.kill(victim["init_pid"], signal.SIGKILL)
        process.communicate()
    assert process.returncode == 3
    first, second = load_devices(tmp_path / "out" / "devices.json").devices
    assert first.outcome == "failed"
    assert first.failure is not None
    assert victim["spec"].removeprefix("adb:") in first.failure.what
    assert second.outcome == "measured"
    assert not [*(tmp_path / "out").glob("adb-*/*")]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_in_the_middle_leaves_nothing_half_written_and_every_device_free(
    number: signal.Signals,
    status: int,
    local: str,
    loopback_device: str,
    built_bundle: Bundle,
    harness_package: Package,
    tmp_path: Path,
) -> None:
    out = tmp_path / "out"
    words = command(built_bundle, harness_package, out, loopback_device, local)
    with _started(words) as process:
        _wait_for(process, f"{loopback_device}: parity and accuracy: done")
        # To the whole group, as a terminal does.
        os.killpg(process.pid, number)
        said = process.communicate()[1]
    assert process.returncode == status
    assert said.splitlines()[-1].endswith("; what is finished is kept")
    assert "Traceback" not in said
    assert not [path for path in out.rglob("*") if path.is_file()]
    for spec in (loopback_device, local):
        with connect(spec) as device, device.lock():
            find = ["find", str(device.workdir), "-name", ".pwl-*"]
            assert device.run(find, deadline_s=30).stdout == b""


@pytest.mark.parametrize(
    ("devices", "said"),
    [
        (("local", "local"), "--device local is given twice"),
        (("local", "phone"), "'phone' names no device"),
        (("all",), "no adb server"),
    ],
)
def test_a_wrong_word_among_right_ones_ends_before_anything_begins(
    devices: tuple[str, ...],
    said: str,
    built_bundle: Bundle,
    harness_package: Package,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")  # there is no adb to start a server with
    done = run(command(built_bundle, harness_package, tmp_path / "out", *devices))
    assert done.returncode == (3 if devices == ("all",) else 2)
    assert said in done.stderr
    assert "remedy: " in done.stderr
    assert [*tmp_path.iterdir()] == []


def _started(words: list[str]) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    return subprocess.Popen(
        words, stdout=pipe, stderr=pipe, text=True, env=environment(), start_new_session=True
    )


def _wait_for(process: subprocess.Popen[str], begin: str) -> None:
    """Returns when a line of its progress begins so."""
    assert process.stderr is not None
    with no_hang(120):
        for line in process.stderr:
            if line.startswith(begin):
                return
    pytest.fail(f"it never said {begin}")
