"""Wireless debugging (Android 11 and later): TLS, for hosts that were paired."""

from __future__ import annotations

import random
import stat
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from adb_shell.auth.keygen import keygen

from pipeline.core.errors import DeviceError
from pipeline.device.base import Device, DeviceGoneError, DeviceTimeoutError
from pipeline.device.connect import connect
from tests.device.conftest import NOTICED
from tests.no_hang import no_hang

LARGE = random.Random(11).randbytes(3_000_000)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user whose only key is the one that a test names."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("ADB_VENDOR_KEYS", raising=False)
    return tmp_path


def opened(spec: str, *keys: Path, **options: float) -> Device:
    return connect(spec, keys=keys, **options)


def test_a_paired_key_opens_the_device_under_tls(wireless: str, paired_key: Path) -> None:
    with no_hang(20), opened(wireless, paired_key) as device:
        assert device.properties().extra["adb.route"] == "TLS"
        done = device.run(["sh", "-c", "cat; echo err >&2; exit 3"], deadline_s=10, stdin=LARGE)
    assert (done.stdout, done.stderr, done.returncode) == (LARGE, b"err\n", 3)


def test_files_go_there_and_back(wireless: str, paired_key: Path, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(LARGE)
    there = PurePosixPath("/data/local/tmp/over-tls")
    with no_hang(20), opened(wireless, paired_key) as device:
        device.push(tmp_path / "source", there)
        assert device.run(["cat", str(there)], deadline_s=10).stdout == LARGE


def test_the_deadline_kills_the_program(wireless: str, paired_key: Path) -> None:
    with no_hang(20), opened(wireless, paired_key) as device:
        with pytest.raises(DeviceTimeoutError, match="it was killed"):
            device.run(["sh", "-c", "trap '' HUP; sleep 60"], deadline_s=0.5)
        assert device.run(["echo", "usable"], deadline_s=10).stdout == b"usable\n"


def test_of_several_keys_the_paired_one_is_found(
    wireless: str, paired_key: Path, tmp_path: Path
) -> None:
    keygen(str(tmp_path / "other"))
    with no_hang(20), opened(wireless, tmp_path / "other", paired_key) as device:
        assert device.run(["true"], deadline_s=10).returncode == 0


def test_a_host_that_was_not_paired_is_told_how_to(wireless: str, tmp_path: Path) -> None:
    keygen(str(tmp_path / "other"))
    with no_hang(20), pytest.raises(DeviceError, match="takes paired hosts only") as caught:
        opened(wireless, tmp_path / "other")
    assert str(tmp_path / "other") in caught.value.what
    assert "adb pair" in caught.value.remedy


def test_a_host_without_a_key_gets_one_to_pair(wireless: str, home: Path) -> None:
    with no_hang(20), pytest.raises(DeviceError, match="takes paired hosts only"):
        opened(wireless)
    key = home / ".android" / "adbkey"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_a_frozen_device_is_noticed_long_before_the_deadline(
    start_loopback: Callable[..., dict[str, Any]], paired_key: Path
) -> None:
    spec = start_loopback("--auth", "--tls", "--auth-key", f"{paired_key}.pub")["spec"]
    with (
        no_hang(NOTICED),
        opened(spec, paired_key, timeout_s=1.0) as device,
        pytest.raises(DeviceGoneError, match="no longer answers"),
    ):
        device.run(["sh", "-c", "kill -STOP $PPID; sleep 60"], deadline_s=300)
