"""The adb server's list of devices: every state, and what to do about it."""

from __future__ import annotations

import pytest

from pipeline.core.errors import DeviceError, UsageError
from pipeline.device.adb.address import ServerAddress
from pipeline.device.adb.listing import Listed, by_spec, choose_device, not_ready, parse_devices

#: As adb 29 and adb 36 print it.
LISTING = """\
R5CN30ABCDE            device usb:1-1 product:o1sxeea model:SM_G991B device:o1s transport_id:4
192.168.1.20:5555      offline product:husky transport_id:7
emulator-5554          unauthorized transport_id:2
0123456789ABCDEF       no permissions (user in plugdev group; are your udev rules wrong?); \
see [http://developer.android.com/tools/device.html] usb:3-2 transport_id:1
(no serial number)     recovery usb:1-3 transport_id:9
adb-R5CN-x1 (2)._adb-tls-connect._tcp device product:o1s transport_id:5

"""


def test_every_line_is_read() -> None:
    devices = parse_devices(LISTING)
    assert [(each.serial, each.state.partition(" (")[0]) for each in devices] == [
        ("R5CN30ABCDE", "device"),
        ("192.168.1.20:5555", "offline"),
        ("emulator-5554", "unauthorized"),
        ("0123456789ABCDEF", "no permissions"),
        ("(no serial number)", "recovery"),
        ("adb-R5CN-x1 (2)._adb-tls-connect._tcp", "device"),
    ]
    assert devices[0].facts["model"] == "SM_G991B"


@pytest.mark.parametrize("text", ["", "\n", "one-word\n", "\0\0\0\n"])
def test_what_is_no_list_has_no_devices(text: str) -> None:
    assert parse_devices(text) == []


def device(serial: str, state: str) -> Listed:
    return Listed(serial, state, {})


def test_the_only_ready_device_is_meant_however_many_others_there_are() -> None:
    listed = [device("a", "offline"), device("b", "device"), device("c", "unauthorized")]
    assert choose_device(listed, None, "there").serial == "b"


def test_the_only_device_is_meant_whatever_its_state() -> None:
    assert choose_device([device("a", "offline")], None, "there").state == "offline"


def test_of_several_that_are_not_ready_none_is_meant() -> None:
    with pytest.raises(UsageError, match="none of them ready") as caught:
        choose_device([device("a", "offline"), device("b", "recovery")], None, "there")
    assert "adb:a  offline" in caught.value.what
    assert "adb:b  recovery" in caught.value.what


def test_a_serial_that_the_environment_names_is_said_to_come_from_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ANDROID_SERIAL", "gone")
    for serial, said in (("gone", True), ("other", False)):
        with pytest.raises(DeviceError, match=f"has no device {serial}") as caught:
            choose_device([device("a", "device")], serial, "there")
        assert ("unset ANDROID_SERIAL" in caught.value.remedy) == said


def test_two_devices_of_one_serial_number_cannot_be_told_apart() -> None:
    with pytest.raises(UsageError, match="2 devices have the serial number 0123"):
        choose_device([device("0123", "device")] * 2, "0123", "there")


REMEDIES = {
    "unauthorized": "Allow USB debugging",
    "authorizing": "wait",
    "connecting": "wait",
    "offline": "unplug and plug it again, or `adb reconnect offline`",
    "recovery": "`adb -s R5CN30 reboot`",
    "sideload": "`adb -s R5CN30 reboot`",
    "bootloader": "`fastboot -s R5CN30 reboot`",
    "detached": "`adb -s R5CN30 attach`",
    "no permissions (are your udev rules wrong?); see [http://x]": "udev rules",
    "something new": "start it normally",
}


@pytest.mark.parametrize(("state", "remedy"), REMEDIES.items())
def test_each_state_has_a_message_and_a_remedy_of_its_own(state: str, remedy: str) -> None:
    error = not_ready(device("R5CN30", state))
    assert isinstance(error, DeviceError)
    assert "adb:R5CN30 cannot be used" in error.what
    assert state.partition(" (")[0] in error.what
    assert remedy in error.remedy


def test_a_device_on_the_network_is_not_plugged_in_again() -> None:
    remedy = not_ready(device("192.168.1.20:5555", "offline")).remedy
    assert "`adb disconnect 192.168.1.20:5555`, then `adb connect 192.168.1.20:5555`" in remedy


ADDRESSES: dict[str, tuple[dict[str, str], str]] = {
    "by default": ({}, "127.0.0.1:5037"),
    "port": ({"ANDROID_ADB_SERVER_PORT": "6000"}, "127.0.0.1:6000"),
    "host": ({"ANDROID_ADB_SERVER_ADDRESS": "lab"}, "lab:5037"),
    "socket first": ({"ADB_SERVER_SOCKET": "tcp:lab:1", "ANDROID_ADB_SERVER_PORT": "2"}, "lab:1"),
    "socket without host": ({"ADB_SERVER_SOCKET": "tcp:6000"}, "127.0.0.1:6000"),
    "IPv6": ({"ADB_SERVER_SOCKET": "tcp:[fe80::1]:6000"}, "[fe80::1]:6000"),
    "file": ({"ADB_SERVER_SOCKET": "localfilesystem:/run/adb"}, "/run/adb"),
    "abstract": ({"ADB_SERVER_SOCKET": "localabstract:adb"}, "@adb"),
    "empty": ({"ADB_SERVER_SOCKET": "", "ANDROID_ADB_SERVER_PORT": ""}, "127.0.0.1:5037"),
}


@pytest.mark.parametrize(("environment", "address"), ADDRESSES.values(), ids=ADDRESSES.keys())
def test_the_server_is_where_adb_itself_looks_for_it(
    environment: dict[str, str], address: str
) -> None:
    assert str(ServerAddress.from_environment(environment)) == address


def test_a_server_elsewhere_is_not_one_of_this_machine() -> None:
    assert ServerAddress().is_here
    assert ServerAddress(path="/run/adb").is_here
    assert not ServerAddress("lab").is_here


def test_each_device_has_a_spec_and_what_keeps_it_from_being_used() -> None:
    states = {"a": "device", "b": "offline", "c": "unauthorized", "d": "authorizing"}
    found = by_spec([device(serial, state) for serial, state in states.items()], "there")
    assert [*found] == ["adb:a", "adb:b", "adb:c", "adb:d"]
    assert {spec for spec, problem in found.items() if problem is None} == {"adb:a", "adb:d"}
    assert "adb:b cannot be used: offline" in str(found["adb:b"])
    assert "Allow USB debugging" in str(found["adb:c"])


def test_devices_of_one_serial_number_are_one_problem() -> None:
    found = by_spec([device("0123", "device"), device("0123", "device")], "there")
    assert [*found] == ["adb:0123"]
    assert "2 devices have the serial number 0123" in str(found["adb:0123"])
