"""Which device a spec names."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.core.errors import DeviceError, ExitCode, UsageError
from pipeline.device.adb.banner import Banner
from pipeline.device.connect import connect
from tests.no_hang import no_hang

NO_DEVICES = [
    "",
    "phone",
    "locale",
    "local:",
    "adb:",
    "adb:host:",
    "adb::5555",
    "adb:host:port",
    "adb:host:0",
    "adb:host:65536",
    "adb:ho st:5555",
    "adb:host:5555:1",
    "usb",
    "adb:usb:",
    "adb:usb:a:b",
    "emulator",
    "emulator-x",
    "adb: ",
]


@pytest.mark.parametrize("spec", NO_DEVICES)
def test_an_unknown_spec_is_a_usage_error_that_lists_the_forms(spec: str) -> None:
    with pytest.raises(UsageError) as caught:
        connect(spec)
    assert caught.value.code is ExitCode.USAGE
    assert repr(spec) in caught.value.what
    assert all(
        form in caught.value.remedy for form in ("local:FOLDER", "adb:SERIAL", "adb:HOST:PORT")
    )


def test_an_address_may_be_ipv6() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    with no_hang(20), pytest.raises(DeviceError, match=r"nothing listens at ::1:1\b"):
        connect("adb:[::1]:1")


def test_an_unknown_host_is_named() -> None:
    with no_hang(60), pytest.raises(DeviceError, match=r"no host is called no-such-host\.invalid"):
        connect("adb:no-such-host.invalid:5555")


def test_adb_shell_is_imported_only_for_adb() -> None:
    program = (
        "import sys; from pipeline.device.connect import connect; connect('local').properties(); "
        "sys.exit(any(name.partition('.')[0] in ('adb_shell', 'rsa') for name in sys.modules))"
    )
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", program], cwd=root).returncode == 0


def test_a_banner_is_read_into_its_parts() -> None:
    banner = Banner.parse(
        b"device::ro.product.name=husky;ro.product.model=Pixel 8 Pro;features=shell_v2,cmd;\0"
    )
    assert banner.state == "device"
    assert banner.properties == {"ro.product.name": "husky", "ro.product.model": "Pixel 8 Pro"}
    assert banner.features == {"shell_v2", "cmd"}


@pytest.mark.parametrize("text", [b"", b"device::", b"\xff\xfe;;==\0", b"sideload"])
def test_a_poor_banner_has_no_features(text: bytes) -> None:
    assert Banner.parse(text).features == frozenset()
