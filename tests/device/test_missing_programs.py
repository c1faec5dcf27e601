"""Devices that lack a program: worked around, or told before anything is sent."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

from pipeline.core.errors import DeviceError
from pipeline.device.adb import shell
from pipeline.device.base import Device
from pipeline.device.connect import connect
from pipeline.device.digest import device_sha256
from pipeline.device.space import free_bytes
from pipeline.device.tree import read_tree

from .conftest import read

#: Arguments: a new folder, and the program that it lacks of those that the device has.
LINK_ALL_BUT = """
mkdir "$1" || exit 1
for program in /system/bin/*; do
  [ "${program##*/}" = "$2" ] || ln -s "$program" "$1" || exit 1
done
"""


@pytest.fixture
def device(
    request: pytest.FixtureRequest, loopback_device: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Device]:
    """A device that lacks the program which the test is about."""
    missing = request.getfixturevalue("missing")
    folder = f"/data/local/tmp/without-{missing}"
    with connect(loopback_device) as device:
        done = device.run(["sh", "-c", LINK_ALL_BUT, "sh", folder, missing], deadline_s=30)
        assert done.returncode == 0, done.stderr
        monkeypatch.setattr(shell, "SERVICE", b"%sPATH=%s; " % (shell.SERVICE, folder.encode()))
        assert device.run(["sh", "-c", f"command -v {missing}"], deadline_s=10).returncode != 0
        yield device
        device.run(["/system/bin/rm", "-rf", folder], deadline_s=30)


@pytest.mark.parametrize("missing", ["find", "sha256sum", "chmod"])
@pytest.mark.parametrize("use", ["workdir", "lock"])
def test_a_program_without_which_nothing_goes_is_named_at_once(
    device: Device, missing: str, use: str
) -> None:
    with pytest.raises(DeviceError, match=f"lacks programs: {missing}\n") as caught:
        _ = device.lock() if use == "lock" else device.workdir
    assert device.spec in caught.value.what
    assert "Android 8" in caught.value.remedy


@pytest.mark.parametrize("missing", ["env", "stat", "df", "getprop"])
def test_other_programs_are_done_without(device: Device, missing: str, tmp_path: Path) -> None:
    data = random.Random(1).randbytes(100_000)
    (tmp_path / "source").write_bytes(data)
    folder = device.workdir / f"without-{missing}"
    with device.lock():
        device.push(tmp_path / "source", folder / "target", executable=True)
    assert list(device_sha256(device, [folder / "target"])) == [folder / "target"]
    assert read(device, folder / "target") == data
    assert read_tree(device, [folder]).files == {folder / "target"}
    assert device.properties().cores > 0
    assert device.run(["no-such-program"], deadline_s=10).returncode == 127
    free = free_bytes(device, folder)
    assert free is not None
    assert free > 1_000_000
    device.run(["rm", "-rf", str(folder)], deadline_s=10)


def test_a_device_that_does_not_say_how_much_room_it_has_is_believed_to_have_it(
    loopback_device: str,
) -> None:
    with connect(loopback_device) as device:
        assert free_bytes(device, PurePosixPath("/no/such/folder")) is None
