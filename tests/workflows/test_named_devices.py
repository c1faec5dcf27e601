"""What the words after --device name, before any device is asked."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from pipeline.core.errors import DeviceError, PipelineError, UsageError
from pipeline.workflows import named_devices as module
from pipeline.workflows.named_devices import are_several, folder_name, named_devices

OFFLINE = DeviceError("adb:b cannot be used: offline", "restart it")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> dict[str, PipelineError | None]:
    """The adb server's devices."""
    devices: dict[str, PipelineError | None] = {"adb:a": None, "adb:b": OFFLINE}
    monkeypatch.setattr(module, "every_device", lambda: devices)
    return devices


@pytest.mark.usefixtures("server")
def test_all_stands_for_every_device_of_the_server_ready_or_not() -> None:
    devices = named_devices(["local", "all"])
    assert [each.spec for each in devices] == ["local", "adb:a", "adb:b"]
    assert [each.listed for each in devices] == [False, True, True]
    assert [each.problem for each in devices] == [None, None, OFFLINE]


@pytest.mark.usefixtures("server")
def test_a_device_that_is_named_beside_all_is_there_once_and_is_waited_for() -> None:
    devices = named_devices(["all", "adb:b"])
    assert [(each.spec, each.listed, each.problem) for each in devices] == [
        ("adb:a", True, None),
        ("adb:b", False, None),
    ]


@pytest.mark.parametrize(
    ("specs", "said"),
    [
        (["local", "local"], "--device local is given twice"),
        (["all", "all"], "--device all is given twice"),
        (["local", "phone"], "'phone' names no device"),
        (["adb:a", "adb:"], "'adb:' names no device"),
        (["adb:a", ""], "'' names no device"),
    ],
)
def test_one_wrong_word_is_told_before_any_device_is_asked(specs: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        named_devices(specs)


def test_a_folder_on_the_device_is_for_adb_devices_only() -> None:
    with pytest.raises(UsageError, match="is for ADB devices"):
        named_devices(["adb:a", "local"], PurePosixPath("/data/x"))


def test_every_device_has_a_folder_of_its_own() -> None:
    folders = [each.folder for each in named_devices(["adb:x y", "adb:x-y", "adb:[::1]:5555"])]
    assert folders == ["adb-x-y", "adb-x-y-2", "adb-1-5555"]


def test_the_name_of_a_folder_is_one_whatever_the_device_is_called() -> None:
    assert folder_name("local:..") == "local-.."
    assert folder_name(f"local:/{'x' * 300}/device") == f"{'x' * 73}-device"
    assert folder_name("local:/..") == "local-.."


def test_all_is_several_devices_even_if_it_is_one() -> None:
    assert are_several(["all"])
    assert are_several(["local", "adb"])
    assert not are_several(["local"])
