"""Where a device is worked in: tried before anything is sent there."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from pipeline.core.errors import DeviceError, UsageError
from pipeline.device.adb.device import PROBE
from pipeline.device.connect import connect
from pipeline.device.file_remedies import remedy_for

from .conftest import names

SHELL_FOLDER = PurePosixPath("/data/local/tmp")


def test_another_folder_is_made_and_used(loopback_device: str) -> None:
    folder = SHELL_FOLDER / "else" / "where"
    with connect(loopback_device, folder=folder) as device:
        assert device.workdir == folder
        assert names(device, folder) == [], "what it was tried with is removed"
        with device.lock():
            assert names(device, folder) != []
        device.run(["rm", "-rf", str(folder.parent)], deadline_s=10)


#: A folder that cannot be worked in, and how it came to be so.
BAD_FOLDERS = {
    "on read-only storage": ("/system/pwl", "true", "Read-only file system"),
    "not to be written to": (
        f"{SHELL_FOLDER}/closed",
        f"mkdir -m 555 {SHELL_FOLDER}/closed",
        "Permission denied|cannot create",
    ),
    "below a file": (
        f"{SHELL_FOLDER}/closed/pwl",
        f"touch {SHELL_FOLDER}/closed",
        "Not a directory|File exists",
    ),
}


@pytest.mark.parametrize(("folder", "make", "reason"), BAD_FOLDERS.values(), ids=BAD_FOLDERS.keys())
@pytest.mark.parametrize("use", ["workdir", "lock"])
def test_a_folder_that_cannot_be_worked_in_is_refused_at_once(
    loopback_device: str, folder: str, make: str, reason: str, use: str
) -> None:
    with connect(loopback_device, folder=PurePosixPath(folder)) as device:
        assert device.run(["sh", "-c", make], deadline_s=10).returncode == 0
        try:
            with pytest.raises(DeviceError, match=f"{folder} cannot be worked in") as caught:
                _ = device.lock() if use == "lock" else device.workdir
            assert re.search(reason, caught.value.what)
        finally:
            device.run(["rm", "-rf", f"{SHELL_FOLDER}/closed"], deadline_s=10)
    assert "--device-folder FOLDER" in caught.value.remedy


def test_a_folder_of_somebody_else_is_refused(
    start_loopback: Callable[..., dict[str, Any]],
) -> None:
    if os.geteuid() != 0:
        pytest.skip("not here: only root can make files of another user")
    record = start_loopback()
    Path(record["folder"], "tmp", "theirs").mkdir(mode=0o755)
    with connect(record["spec"], folder=SHELL_FOLDER / "theirs") as device:
        with pytest.raises(DeviceError, match="theirs cannot be worked in") as caught:
            device.lock()
        assert "belongs to another user" in caught.value.remedy
        assert "--device-folder FOLDER" in caught.value.remedy


def test_storage_that_runs_no_programs_is_named(tmp_path: Path) -> None:
    """The device's own script, where this machine can mount what the loopback device cannot."""
    script = """
mount -t tmpfs -o noexec none "$1" && sh -c "$2" sh "$1/pwl"
status=$?
ls -A "$1/pwl"
exit $status
"""
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script]
    done = subprocess.run([*command, "sh", tmp_path, PROBE], capture_output=True, text=True)
    if "unshare failed" in done.stderr or "permission denied" in done.stderr.lower():
        pytest.skip(f"not here: no mounts in user namespaces ({done.stderr.strip()})")
    said = f"programs may not be executed in {tmp_path}/pwl"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"{said}\n")
    remedy = remedy_for(said, PurePosixPath("/x/pwl"), "adb:R5CN30")
    assert "noexec" in remedy
    assert "--device-folder FOLDER" in remedy


@pytest.mark.parametrize("folder", ["relative", "/", "."])
def test_a_folder_is_absolute_and_not_everything(folder: str) -> None:
    with pytest.raises(UsageError, match="is not a folder to work in"):
        connect("adb:127.0.0.1:1", folder=PurePosixPath(folder))


def test_the_local_device_s_folder_is_in_its_name() -> None:
    with pytest.raises(UsageError) as caught:
        connect("local", folder=PurePosixPath("/x"))
    assert "--device local:/x" in caught.value.remedy
