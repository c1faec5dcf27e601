"""Which device it is, whatever way leads there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.core.errors import DeviceError
from pipeline.device.base import Device, DeviceProperties
from pipeline.device.connect import connect, every_device
from pipeline.device.identity import Identity, identify, this_kernel

from .adb_server import SYSTEM, AdbServer, adb_program, adb_server


def identity_of(device: Device) -> Identity:
    return identify(device, device.properties())


def test_two_connections_to_a_device_find_the_same_one(device: Device, second: Device) -> None:
    assert identity_of(device) == identity_of(second)
    assert identity_of(device).known


def test_all_that_runs_on_this_machine_shares_its_kernel_and_no_folder(
    loopback_device: str, tmp_path: Path
) -> None:
    specs = (loopback_device, f"local:{tmp_path / 'one'}", f"local:{tmp_path / 'other'}")
    found = []
    for spec in specs:
        with connect(spec) as device:
            found.append(identity_of(device))
    assert {each.kernel for each in found} == {this_kernel()}
    assert all(each.is_here for each in found)
    assert len({each.place for each in found}) == 3


@pytest.mark.parametrize(
    ("serial", "hardware", "virtual"),
    [
        ("emulator-5554", "", True),
        ("127.0.0.1:5555", "ranchu", True),
        ("R5CN", "qcom", False),
        ("R5CN", "", False),
    ],
)
def test_an_emulator_is_known_by_its_serial_or_its_hardware(
    serial: str, hardware: str, virtual: bool, tmp_path: Path
) -> None:
    with connect(f"local:{tmp_path}") as device:
        said = {**device.properties().model_dump(), "serial": serial}
        said["extra"] = {"ro.hardware": hardware} if hardware else {}
        assert identify(device, DeviceProperties.model_validate(said)).virtual is virtual


def test_all_devices_of_an_adb_server_are_found(
    loopback_device: str,
    servers: Callable[[str], AdbServer],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = servers(SYSTEM)
    server.attach(loopback_device)
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(server.port))
    assert every_device()[loopback_device] is None


def test_an_adb_server_without_a_device_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with adb_server(adb_program(SYSTEM), tmp_path) as server:
        monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(server.port))
        with pytest.raises(DeviceError, match="has no device"):
            every_device()
