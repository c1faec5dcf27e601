"""Wheels for another machine: the very versions, the very bytes."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.core.atomic_files import sha256_of
from pipeline.core.errors import DeviceError, IntegrityError, UsageError
from pipeline.core.progress import Silent
from pipeline.toolchain.linux_arm64 import WHEELS
from pipeline.toolchain.wheels import Wheels
from tests.fixtures import ROOT

TAG = "py3-none-manylinux_2_28_aarch64"


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one wheel, which is all that pip sees."""
    folder = tmp_path / "index"
    folder.mkdir()
    with zipfile.ZipFile(folder / f"pwl_none-1.0-{TAG}.whl", "w") as wheel:
        wheel.writestr("pwl_none/library.so", b"library")
        wheel.writestr("pwl_none-1.0.dist-info/METADATA", "Name: pwl-none\nVersion: 1.0\n")
        wheel.writestr("pwl_none-1.0.dist-info/WHEEL", f"Wheel-Version: 1.0\nTag: {TAG}\n")
        wheel.writestr("pwl_none-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def pin(tmp_path: Path) -> Callable[[str, str], Wheels]:
    def write(version: str, sha256: str) -> Wheels:
        path = tmp_path / "pinned.txt"
        path.write_text(f"pwl-none=={version} \\\n    --hash=sha256:{sha256}\n")
        return Wheels(path, ("manylinux_2_28_aarch64",))

    return write


def test_the_versions_for_arm_are_those_that_this_machine_lowers_with() -> None:
    constraints = (ROOT / "scripts" / "constraints.txt").read_text()
    here = dict(re.findall(r"^(executorch|ai-edge-litert)==(\S+)$", constraints, re.MULTILINE))
    assert WHEELS.versions == here
    assert len(here) == 2
    WHEELS.require_installed_versions()


def test_another_installed_version_is_told(
    monkeypatch: pytest.MonkeyPatch, pin: Callable[[str, str], Wheels]
) -> None:
    monkeypatch.setattr("pipeline.toolchain.wheels.version", lambda name: "2.0")
    with pytest.raises(UsageError, match=r"pwl-none 2\.0 is installed.*pins 1\.0") as caught:
        pin("1.0", "0" * 64).require_installed_versions()
    assert "pip install pwl-none==1.0" in caught.value.remedy


def test_what_is_pinned_is_unpacked_once(
    index: Path, pin: Callable[[str, str], Wheels], tmp_path: Path
) -> None:
    (wheel,) = index.iterdir()
    wheels = pin("1.0", sha256_of(wheel))
    folder = wheels.unpacked(tmp_path / "work", Silent())
    assert (folder / "pwl_none" / "library.so").read_bytes() == b"library"
    wheel.unlink()
    assert wheels.unpacked(tmp_path / "work", Silent()) == folder


def test_other_bytes_than_are_pinned_are_refused_and_leave_nothing(
    index: Path, pin: Callable[[str, str], Wheels], tmp_path: Path
) -> None:
    with pytest.raises(IntegrityError, match=r"other files than .* pins"):
        pin("1.0", "0" * 64).unpacked(tmp_path / "work", Silent())
    assert not (tmp_path / "work").exists()


def test_a_version_that_the_index_does_not_have_is_told(
    index: Path, pin: Callable[[str, str], Wheels], tmp_path: Path
) -> None:
    with pytest.raises(DeviceError, match="pip cannot fetch"):
        pin("2.0", "0" * 64).unpacked(tmp_path / "work", Silent())
