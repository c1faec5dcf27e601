"""A device that lets in only those whose key it knows."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from adb_shell.auth.keygen import keygen

from pipeline.core.errors import DeviceError
from pipeline.device.connect import connect
from tests.no_hang import no_hang

StartLoopback = Callable[..., dict[str, Any]]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user who has no key yet."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("ADB_VENDOR_KEYS", raising=False)
    return home


@pytest.fixture(scope="session")
def known_key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    key = tmp_path_factory.mktemp("known") / "adbkey"
    keygen(str(key))
    return key


@pytest.fixture(scope="session")
def strict(start_loopback: StartLoopback, known_key: Path) -> str:
    """A device that knows one key, and whose owner never presses Allow."""
    spec: str = start_loopback("--auth", "--auth-key", f"{known_key}.pub")["spec"]
    return spec


@pytest.fixture(scope="session")
def friendly(start_loopback: StartLoopback) -> str:
    """A device that knows no key, and whose owner allows every one."""
    spec: str = start_loopback("--auth", "--accept-keys")["spec"]
    return spec


def works(spec: str, *keys: Path) -> bool:
    with no_hang(60), connect(spec, consent_timeout_s=30, keys=keys) as device:
        return device.run(["echo", "in"], deadline_s=10).stdout == b"in\n"


def test_a_known_key_opens_the_device(strict: str, known_key: Path) -> None:
    assert works(strict, known_key)


def test_no_key_is_made_while_another_one_is_given(
    strict: str, known_key: Path, home: Path
) -> None:
    assert works(strict, known_key)
    assert list(home.iterdir()) == []


def test_the_users_own_key_is_used(strict: str, known_key: Path, home: Path) -> None:
    (home / ".android").mkdir()
    (home / ".android" / "adbkey").write_bytes(known_key.read_bytes())
    assert works(strict)


def test_a_missing_public_key_is_derived(friendly: str, known_key: Path, home: Path) -> None:
    (home / ".android").mkdir()
    (home / ".android" / "adbkey").write_bytes(known_key.read_bytes())
    assert works(friendly)


@pytest.mark.parametrize("form", ["file", "folder"])
def test_vendor_keys_are_used(
    strict: str, known_key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    key = tmp_path / "vendor" / "team.adb_key"
    key.parent.mkdir()
    key.write_bytes(known_key.read_bytes())
    named = key if form == "file" else key.parent
    monkeypatch.setenv("ADB_VENDOR_KEYS", f"/no/such/file:{named}")
    assert works(strict)


def test_an_unknown_key_needs_the_owner(
    strict: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keygen(str(tmp_path / "unknown"))
    expected = pytest.raises(
        DeviceError, match=r"not authorized for this host: nobody pressed Allow within 0"
    )
    with no_hang(20), expected as caught:
        connect(strict, consent_timeout_s=0.4, keys=[tmp_path / "unknown"])
    assert "unlock" in caught.value.remedy
    (record,) = caplog.records
    assert 'waits for its owner: unlock its screen and press "Allow"' in record.getMessage()
    assert record.levelname == "WARNING"


def test_an_owner_who_allows_the_key_lets_us_in(friendly: str, known_key: Path) -> None:
    assert works(friendly, known_key)


def test_a_key_is_made_when_the_device_asks_for_one(friendly: str, home: Path) -> None:
    assert works(friendly)
    assert sorted(file.name for file in (home / ".android").iterdir()) == ["adbkey", "adbkey.pub"]


def test_nobody_else_can_read_a_key_that_was_made(friendly: str, home: Path) -> None:
    works(friendly)
    assert stat.S_IMODE((home / ".android" / "adbkey").stat().st_mode) == 0o600


def test_a_key_that_was_made_is_kept(friendly: str, home: Path) -> None:
    works(friendly)
    made = (home / ".android" / "adbkey").read_bytes()
    works(friendly)
    assert (home / ".android" / "adbkey").read_bytes() == made


def test_no_key_is_made_for_a_device_that_does_not_ask(loopback_device: str, home: Path) -> None:
    assert works(loopback_device)
    assert list(home.iterdir()) == []


def test_a_home_where_no_key_can_be_made_is_named(
    friendly: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/proc")
    with pytest.raises(DeviceError, match=r"none can be made at /proc/\.android/adbkey"):
        connect(friendly)


@pytest.mark.parametrize("content", ["", "not a key", "-----BEGIN PRIVATE KEY-----\nAAAA\n"])
def test_a_key_file_that_holds_no_key_is_named(strict: str, tmp_path: Path, content: str) -> None:
    (tmp_path / "broken").write_text(content)
    with pytest.raises(DeviceError, match="broken is not an RSA private key"):
        connect(strict, keys=[tmp_path / "broken"])


def test_a_key_file_that_is_missing_is_named(strict: str, tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="missing cannot be read"):
        connect(strict, keys=[tmp_path / "missing"])
