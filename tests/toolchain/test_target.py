"""What a harness is built for: names, and the choice for a device."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.core.errors import DeviceError, UsageError
from pipeline.core.progress import Silent
from pipeline.toolchain import host, linux_arm64
from pipeline.toolchain.build_harness import build_harness
from pipeline.toolchain.target import LINUX_ARM64, Target, target_for, targets
from tests.fixtures import ROOT


@pytest.fixture(params=["x86_64", "aarch64"])
def machine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(platform, "machine", lambda: request.param)
    return str(request.param)


def test_every_target_has_a_name_that_is_read_as_itself(machine: str) -> None:
    for target in targets().values():
        assert Target.parse(target.name) == target


def test_an_android_target_takes_another_api_level() -> None:
    assert Target.parse("android-arm64").api == 26
    target = Target.parse("android-x86_64-34")
    assert target == Target("x86_64", "android", 34)
    assert target.name == "android-x86_64-34"


@pytest.mark.parametrize("text", ["", "arm64", "linux-arm64-29", "android-arm64-", "android-mips"])
def test_what_is_no_target_is_refused_with_the_names_of_all(text: str) -> None:
    with pytest.raises(UsageError, match="is no target") as caught:
        Target.parse(text)
    assert all(name in caught.value.remedy for name in targets())


def test_an_api_level_that_executorch_does_not_have_is_refused() -> None:
    with pytest.raises(UsageError, match="below API level 26") as caught:
        Target.parse("android-arm64-21")
    assert "android-arm64-26" in caught.value.remedy


def test_a_phone_is_given_the_harness_for_64_bit_arm(machine: str) -> None:
    assert target_for("arm64-v8a", "Android 16") == LINUX_ARM64


def test_a_device_like_this_machine_is_given_this_machine_s_harness(machine: str) -> None:
    assert target_for(Target.host().abi, "Linux 6.1").name == "host"


@pytest.mark.parametrize("abi", ["armeabi-v7a", "x86", "riscv64"])
def test_a_device_that_nobody_builds_for_is_told(abi: str) -> None:
    with pytest.raises(DeviceError, match=f"Android 9.*{abi}.*arm64-v8a") as caught:
        target_for(abi, "Android 9")
    assert "64-bit" in caught.value.remedy


def test_each_target_is_built_by_its_own_in_a_folder_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[Path] = []
    monkeypatch.setattr(host, "build_for_host", lambda folder, *_: built.append(folder))
    monkeypatch.setattr(
        linux_arm64, "build_for_linux_arm64", lambda folder, *_: built.append(folder)
    )
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    for target in (Target.host(), LINUX_ARM64):
        build_harness(target, tmp_path, Silent())
    assert built == [tmp_path / "host", tmp_path / "linux-arm64"]


@pytest.mark.parametrize(
    ("set_", "told"),
    [
        ({}, "ANDROID_NDK is not set"),
        ({"ANDROID_NDK": "empty"}, "ANDROID_NDK=.*empty has no build/cmake"),
        ({"ANDROID_NDK": "ndk"}, "EXECUTORCH_ANDROID is not set"),
        ({"ANDROID_NDK": "ndk", "EXECUTORCH_ANDROID": "empty"}, "has no lib/cmake"),
    ],
)
def test_what_an_ndk_build_lacks_is_told(
    set_: dict[str, str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "ndk" / "build" / "cmake").mkdir(parents=True)
    (tmp_path / "ndk" / "build" / "cmake" / "android.toolchain.cmake").touch()
    for name in ("ANDROID_NDK", "EXECUTORCH_ANDROID"):
        monkeypatch.delenv(name, raising=False)
    for name, folder in set_.items():
        monkeypatch.setenv(name, str(tmp_path / folder))
    with pytest.raises(UsageError, match=told) as caught:
        build_harness(Target.parse("android-arm64"), tmp_path / "work", Silent())
    assert "docs/phone.md" in caught.value.remedy


def test_the_help_of_the_command_that_builds_them_names_every_target() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "build-harness"), "--help"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert {name for name in targets() if name not in done.stdout} == set()
