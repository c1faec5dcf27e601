"""What befalls a device is told with its name, and repeating the command suffices."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pipeline.bundle.layout import control_folder
from pipeline.bundle.verify import Bundle, open_controls
from pipeline.core import progress
from pipeline.core.errors import DeviceError
from pipeline.core.locks import LOCK_NAME
from pipeline.core.progress import Silent, Task
from pipeline.device.base import Device
from pipeline.device.connect import connect
from pipeline.device.identity import identify
from pipeline.harness.deploy import Installation, deploy
from pipeline.harness.placement import Payload
from pipeline.harness.session import HarnessSession
from pipeline.profile import profile
from pipeline.report.report_file import load_report
from pipeline.toolchain.package import Package
from pipeline.workflows import measure_device
from tests.conftest import LOOPBACK_DEVICE
from tests.device.adb_server import SYSTEM, AdbServer, adb_program, adb_server
from tests.fixtures import SMALL_CAMPAIGN

Record = dict[str, Any]
#: Of a device whose storage is memory: more than is deployed.
DISK_BYTES = 96 << 20
FILLER = "/data/local/tmp/filler"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AdbServer]:
    with adb_server(adb_program(SYSTEM), tmp_path_factory.mktemp("adb")) as server:
        yield server


@pytest.fixture(scope="module")
def started(start_loopback: Callable[..., Record]) -> Record:
    """A device of this file's own, which is broken again and again."""
    return start_loopback()


@pytest.fixture(params=["adb", SYSTEM])
def attach(
    request: pytest.FixtureRequest, started: Record, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], object]:
    """Brings the device back to where it is reached by, after it was switched on again."""
    if request.param == "adb":
        return lambda: None
    server: AdbServer = request.getfixturevalue("server")
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(server.port))
    return lambda: server.attach(started["spec"])


def restart(record: Record) -> Record:
    command = [LOOPBACK_DEVICE, "restart", "--port", str(record["port"]), "--json"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    again: Record = json.loads(done.stdout)
    return again


def bring(device: Device, package: Package, bundle: Bundle) -> Installation:
    root = control_folder(bundle.root)
    payload = Payload(bundle, open_controls(root, bundle.manifest), root)
    return deploy(device, package, [payload], Silent())


@pytest.mark.parametrize("kept", [True, False], ids=["files kept", "folder gone"])
def test_a_reboot_after_a_deployment_is_told_and_what_is_gone_is_sent_again(
    kept: bool,
    attach: Callable[[], object],
    started: Record,
    harness_package: Package,
    built_bundle: Bundle,
) -> None:
    attach()
    spec = started["spec"]
    with connect(spec) as device:
        installation = bring(device, harness_package, built_bundle)
        properties = device.properties()
        before = identify(device, properties)
        with device.lock() as lock:
            if not kept:
                device.run(["rm", "-rf", str(device.workdir)], deadline_s=30)
            restart(started)
            # A server that has connected again by itself may have the harness run, if it is there.
            told = "harness task info on" if properties.extra["adb.route"] == "TCP" else ""
            with pytest.raises(DeviceError, match=f"{told}.*{re.escape(spec)}"):
                HarnessSession(device, installation.deployments[0]).info()
                lock.require()
    attach()
    with connect(spec) as device:
        assert identify(device, device.properties()).kernel != before.kernel
        again = bring(device, harness_package, built_bundle)
        assert (again.pushed == 0) is kept
        assert HarnessSession(device, again.deployments[0]).info().abi == properties.abi


class Striking(Silent):
    """Lets something befall the device when a task begins; after that one, none may begin."""

    def __init__(self, title: str, strike: Callable[[], object]) -> None:
        self._title = title
        self._strike = strike
        self._struck = False

    @contextmanager
    def task(self, title: str, total: float) -> Iterator[Task]:
        assert not self._struck, f"{title} begins although the device is another one by now"
        if title == self._title:
            self._struck = True
            self._strike()
        with super().task(title, total) as task:
            yield task


def profiled(bundle: Bundle, package: Package, spec: str, out: Path) -> tuple[int, str]:
    """The command's exit status, and all that it said in one line."""
    words = [bundle.root, "--device", spec, "--rounds", 1, "--states", "warm", "--fps", "none"]
    words += ["--harness", package.root, "--out", out]
    done = CliRunner().invoke(profile, [str(word) for word in words])
    return done.exit_code, " ".join(done.output.split())


@pytest.fixture
def repeated(
    built_bundle: Bundle,
    harness_package: Package,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., str]:
    """Profiles twice, the first time until something happens; returns what was said then."""
    monkeypatch.setattr(measure_device, "CampaignOptions", SMALL_CAMPAIGN)

    def run(spec: str, at: str, strike: Callable[[], object], mend: Callable[[], object]) -> str:
        out = tmp_path / "out"
        monkeypatch.setattr(progress, "progress_for_terminal", lambda: Striking(at, strike))
        status, said = profiled(built_bundle, harness_package, spec, out)
        assert (status, out.exists() and [*out.iterdir()]) in ((3, False), (3, [])), said
        assert "Traceback" not in said
        mend()
        monkeypatch.setattr(progress, "progress_for_terminal", Silent)
        assert profiled(built_bundle, harness_package, spec, out)[0] == 0
        assert load_report(out / "report.json").validity.verdict != "invalid"
        return said

    return run


def test_a_killed_adbd_is_told_and_the_next_run_ends_with_a_report(
    started: Record, repeated: Callable[..., str]
) -> None:
    # Whoever restarted it, the record of that is kept beside its files.
    pid = json.loads(Path(started["folder"], "device.json").read_text())["processes"]["adbd"]["pid"]
    kill = partial(os.kill, pid, signal.SIGKILL)
    said = repeated(started["spec"], "starts", kill, lambda: restart(started))
    assert re.search(rf"harness task \w+ on {re.escape(started['spec'])}: the connection to", said)


def test_a_reboot_while_measuring_is_told_and_the_next_run_ends_with_a_report(
    attach: Callable[[], object], started: Record, repeated: Callable[..., str]
) -> None:
    attach()
    said = repeated(started["spec"], "starts", lambda: restart(started), attach)
    # A server connects again by itself; then the lock tells.
    named = rf"(harness task \w+ on|the lock on) {re.escape(started['spec'])}"
    assert re.search(rf"error: {named}\b", said)


def test_a_lock_that_is_lost_while_measuring_ends_the_run_after_the_round(
    repeated: Callable[..., str], tmp_path: Path
) -> None:
    """Another run may have used the device since."""
    folder = tmp_path / "device"
    said = repeated(f"local:{folder}", "starts", (folder / LOCK_NAME).unlink, lambda: None)
    assert "was removed while it was locked" in said


def test_a_disk_that_fills_up_is_told_and_the_next_run_ends_with_a_report(
    start_loopback: Callable[..., Record], repeated: Callable[..., str]
) -> None:
    spec = start_loopback("--disk", str(DISK_BYTES))["spec"]

    def on_device(script: str) -> None:
        with connect(spec) as device:
            device.run(["sh", "-c", script], deadline_s=60)

    fill = partial(on_device, f"cat /dev/zero >{FILLER}")
    said = repeated(spec, "push", fill, partial(on_device, f"rm {FILLER}"))
    assert "No space left on device" in said
    assert spec.removeprefix("adb:") in said
