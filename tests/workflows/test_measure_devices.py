"""What several devices of one run have in common: the bundle, and a harness for each ABI."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.core.errors import DeviceError, PipelineError, UsageError
from pipeline.core.progress import LineRows, Progress, Silent
from pipeline.device.base import DeviceProperties
from pipeline.workflows import measure_devices as module
from pipeline.workflows.measure_device import ProfileOptions
from pipeline.workflows.measure_devices import Harnesses, measure_devices
from tests.report.builder import DEVICE


def phone(**said: Any) -> DeviceProperties:
    return DeviceProperties.model_validate({**DEVICE, "abi": "arm64-v8a", **said})


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ABIs that a harness is built for, in order; there is no compiler for x86-64."""
    abis: list[str] = []

    class Package:
        root = Path("package")

    def package_for(
        properties: DeviceProperties, options: ProfileOptions, progress: Progress
    ) -> type[Package]:
        abis.append(properties.abi)
        if properties.abi == "x86_64":
            raise UsageError("no compiler", "install one")
        return Package

    monkeypatch.setattr(module, "package_for", package_for)
    return abis


def test_the_harness_is_built_once_for_each_abi(built: list[str]) -> None:
    harnesses = Harnesses(ProfileOptions("local"))
    for system in ("Android 13", "Android 14"):
        assert harnesses(phone(system=system), Silent()) == Path("package")
    assert built == ["arm64-v8a"]


def test_a_build_that_fails_is_not_tried_for_every_device(built: list[str]) -> None:
    harnesses = Harnesses(ProfileOptions("local"))
    for _ in range(2):
        with pytest.raises(UsageError, match="no compiler"):
            harnesses(phone(abi="x86_64"), Silent())
    assert built == ["x86_64"]


def test_no_harness_is_built_for_a_32_bit_phone_nor_where_one_is_named(built: list[str]) -> None:
    with pytest.raises(DeviceError, match="armeabi-v7a"):
        Harnesses(ProfileOptions("local"))(phone(abi="armeabi-v7a"), Silent())
    named = Harnesses(ProfileOptions("local", harness=Path("mine")))
    assert named(phone(), Silent()) == Path("mine")
    assert built == []


def test_what_is_wrong_for_all_is_told_before_any_device_is_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(module, "run_devices", None)
    with pytest.raises(PipelineError, match="none: no such folder"):
        measure_devices(tmp_path / "none", ProfileOptions("local"), [], tmp_path, LineRows())
