"""Real USB: libusb at one end of a cable, adbd at the other. Run by scripts/test-usb.

It runs in a virtual machine without tests/conftest.py, whose imports would take a minute there.
"""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Timer

import pytest

from pipeline.core.errors import DeviceError
from pipeline.device.base import Device, DeviceGoneError, DeviceTimeoutError
from pipeline.device.connect import connect
from pipeline.device.digest import device_sha256

SERIAL = "USB0001"
#: Writing "disconnect" to this file pulls the cable out.
CABLE = os.environ.get("PWL_USB_CABLE")
#: Where every second of the processor takes ten.
TIMEOUT_S = 60.0

pytestmark = pytest.mark.skipif(CABLE is None, reason="not here: USB (run scripts/test-usb)")


def opened(spec: str = "adb:usb") -> Device:
    return connect(spec, timeout_s=TIMEOUT_S)


@pytest.fixture(scope="module", autouse=True)
def plugged_in() -> None:
    """The kernel takes a moment to see what was plugged in."""
    end = time.monotonic() + TIMEOUT_S
    while time.monotonic() < end:
        try:
            opened().close()
        except DeviceError:
            time.sleep(0.5)
        else:
            return
    pytest.fail("no device appears on USB", pytrace=False)


@pytest.fixture
def device() -> Iterator[Device]:
    with opened() as device:
        yield device


def test_the_only_device_needs_no_serial_number(device: Device) -> None:
    properties = device.properties()
    assert properties.serial == f"usb:{SERIAL}"
    assert properties.model == "USB device"
    assert properties.extra["adb.route"] == "USB"


def test_streams_and_status_of_a_command_arrive(device: Device) -> None:
    data = random.Random(1).randbytes(1_000_000)
    done = device.run(["sh", "-c", "cat; echo err >&2; exit 7"], deadline_s=60, stdin=data)
    assert (done.stdout, done.stderr, done.returncode) == (data, b"err\n", 7)


#: Around the lengths of packets (512 bytes; a transfer of full ones has to be ended) and messages.
@pytest.mark.parametrize("size", [0, 1, 480, 504, 512, 1024, 65_536, 983_040, 3_000_000])
def test_a_file_arrives_and_comes_back_as_it_was(device: Device, size: int, tmp_path: Path) -> None:
    data = random.Random(size).randbytes(size)
    (tmp_path / "source").write_bytes(data)
    target = device.workdir / "file"
    device.push(tmp_path / "source", target)
    assert device_sha256(device, [target]) == {target: hashlib.sha256(data).hexdigest()}
    assert device.run(["cat", str(target)], deadline_s=60).stdout == data


def test_a_command_that_takes_too_long_is_killed(device: Device) -> None:
    with pytest.raises(DeviceTimeoutError, match="it was killed"):
        device.run(["sh", "-c", "trap '' HUP; sleep 100"], deadline_s=3)
    assert device.run(["echo", "usable"], deadline_s=60).stdout == b"usable\n"


def test_the_device_is_locked_and_used_over_its_only_connection(
    device: Device, tmp_path: Path
) -> None:
    (tmp_path / "source").write_bytes(bytes(100_000))
    with device.lock() as lock:
        device.push(tmp_path / "source", device.workdir / "locked")
        lock.require()
    with device.lock():
        pass


def test_a_device_is_named_by_its_serial_number() -> None:
    with opened(f"adb:usb:{SERIAL}") as device:
        assert device.run(["true"], deadline_s=60).returncode == 0
    with pytest.raises(DeviceError, match=f"no USB device USB9999 .* there is: {SERIAL}"):
        opened("adb:usb:USB9999")


def test_a_device_in_use_is_refused(device: Device) -> None:
    with pytest.raises(DeviceError, match=f"USB device {SERIAL} is in use by another program"):
        opened()
    assert device.run(["true"], deadline_s=60).returncode == 0


def test_an_adb_server_has_the_device_until_it_ends() -> None:
    """Native adb over the same cable, and our client of its server."""
    subprocess.run(["adb", "start-server"], check=True, timeout=TIMEOUT_S)
    try:
        subprocess.run(["adb", "-s", SERIAL, "wait-for-device"], check=True, timeout=TIMEOUT_S)
        with pytest.raises(DeviceError, match="is in use by another program") as caught:
            opened()
        assert "adb kill-server" in caught.value.remedy
        assert f"--device adb:{SERIAL}" in caught.value.remedy
        for spec in ("adb", f"adb:{SERIAL}"):
            with opened(spec) as device:
                assert device.properties().extra["adb.route"] == "adb server"
                assert device.run(["echo", "cable"], deadline_s=60).stdout == b"cable\n"
    finally:
        subprocess.run(["adb", "kill-server"], check=True, timeout=TIMEOUT_S)
    with opened() as device:
        assert device.run(["true"], deadline_s=60).returncode == 0


def test_a_device_that_is_unplugged_in_a_command_is_gone() -> None:
    """It comes last: Debian's adbd does not survive that, a phone's is started again."""
    assert CABLE is not None
    with opened() as device, pytest.raises(DeviceGoneError, match=r"unplugged|LIBUSB"):
        Timer(1, Path(CABLE).write_text, ["disconnect"]).start()
        device.run(["sleep", "100"], deadline_s=90)
    with pytest.raises(DeviceError, match="no USB device has USB debugging on"):
        connect("adb:usb", timeout_s=1.0)
