"""What every device says of itself."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

import pytest

from pipeline.core.errors import DeviceError
from pipeline.device.base import Device
from pipeline.device.connect import connect


def test_properties_are_those_of_the_processor_and_the_memory(device: Device) -> None:
    properties = device.properties()
    memory = re.search(r"MemTotal:\s*(\d+) kB", Path("/proc/meminfo").read_text())
    assert memory is not None
    assert properties.memory_bytes == int(memory[1]) * 1024
    assert properties.cores == os.cpu_count()
    assert properties.abi == {"aarch64": "arm64-v8a"}.get(platform.machine(), platform.machine())
    assert properties.extra["kernel"] == f"Linux {platform.release()}"


def test_properties_claim_no_android_where_there_is_none(device: Device) -> None:
    properties = device.properties()
    assert properties.sdk is None
    assert properties.system == f"Linux {platform.release()}"


def test_properties_name_the_device(device: Device, spec: str) -> None:
    properties = device.properties()
    if spec.startswith("adb:"):
        assert (properties.kind, properties.model) == ("adb", "Loopback device")
        assert properties.serial == spec.removeprefix("adb:")
    else:
        assert (properties.kind, properties.serial) == ("local", "local")
        assert properties.model


def test_the_spec_is_the_one_that_was_given(device: Device, spec: str) -> None:
    assert device.spec == spec


def test_the_working_folder_exists_and_can_be_written_to(device: Device) -> None:
    file = device.workdir / "probe"
    assert device.run(["touch", str(file)], deadline_s=10).returncode == 0
    assert device.run(["rm", str(file)], deadline_s=10).returncode == 0


def test_the_local_working_folder_is_below_the_current_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with connect("local") as device:
        assert Path(device.workdir) == tmp_path / "build" / "device"
    assert (tmp_path / "build" / "device").is_dir()


def test_a_local_working_folder_that_cannot_be_made_is_named() -> None:
    with connect("local:/proc/pwl") as device, pytest.raises(DeviceError, match="/proc/pwl"):
        _ = device.workdir


def test_a_closed_adb_device_says_so(loopback_device: str) -> None:
    with connect(loopback_device) as device:
        pass
    with pytest.raises(DeviceError, match="closed by this side"):
        device.run(["true"], deadline_s=10)
