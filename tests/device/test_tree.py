"""What lies below folders of a device: listed whole, removed, or the failure is told."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

import pytest

from pipeline.core.errors import DeviceError
from pipeline.device.base import Completed, Device
from pipeline.device.file_remedies import remedy_for
from pipeline.device.tree import make_folders, not_executable, read_tree, remove

from .conftest import names

MAKE = r"""
cd "$1"; mkdir -p a/b c; touch a/file 'a/line
end' a/b/program; chmod 755 a/b/program; chmod 644 a/file; ln -s /bin a/link; mkfifo c/pipe
"""


@pytest.fixture
def filled(device: Device, folder: PurePosixPath) -> PurePosixPath:
    assert device.run(["sh", "-c", MAKE, "sh", str(folder)], deadline_s=10).returncode == 0
    return folder


def test_everything_is_listed_by_its_kind(device: Device, filled: PurePosixPath) -> None:
    tree = read_tree(device, [filled / "a", filled / "missing", filled / "c"])
    assert tree.folders == {filled / "a", filled / "a" / "b", filled / "c"}
    assert tree.files == {filled / "a" / name for name in ("file", "line\nend", "b/program")}
    assert tree.others == {filled / "a" / "link", filled / "c" / "pipe"}


def test_a_removed_link_leaves_what_it_leads_to(device: Device, filled: PurePosixPath) -> None:
    remove(device, [filled / "a" / "link", filled / "c"])
    assert names(device, filled) == ["a"]
    assert device.run(["test", "-d", "/bin/."], deadline_s=10).returncode == 0


def test_nothing_to_remove_is_no_error(device: Device) -> None:
    remove(device, [])


def test_the_programs_that_may_not_run_are_found(device: Device, filled: PurePosixPath) -> None:
    paths = [filled / "a" / "b" / "program", filled / "a" / "file", filled / "missing"]
    assert not_executable(device, paths) == set(paths[1:])


def test_folders_that_cannot_be_made_are_told(device: Device) -> None:
    with pytest.raises(DeviceError, match=r"/proc/none cannot be made on .*: .+") as caught:
        make_folders(device, [PurePosixPath("/proc/none")])
    assert caught.value.remedy


def test_what_cannot_be_removed_is_told(device: Device) -> None:
    with pytest.raises(DeviceError, match="old files in /proc cannot be removed") as caught:
        remove(device, [PurePosixPath("/proc/version")])
    assert "/proc/version" in caught.value.remedy


class Failing:
    """A device whose programs fail."""

    spec = "adb:phone:5555"

    def run(self, argv: tuple[str, ...], **_: Any) -> Completed:
        return Completed(tuple(argv), 1, b"", b"find: '/data/x/y': Permission denied\n", 0.1)


def test_a_folder_that_cannot_be_listed_is_told() -> None:
    with pytest.raises(DeviceError, match="/data/x/y cannot be listed on adb:phone:5555") as e:
        read_tree(Failing(), [PurePosixPath("/data/x")])
    assert "belongs to another user" in e.value.remedy


REASONS = {
    "No space left on device": "make room",
    "Read-only file system": "for writing",
    "mkdir: '/data/x': Permission denied": "another user",
    "/data/x is a folder": "something else has the name",
    "Not a directory": "something else has the name",
    "it arrived as 12 and was sent as 34": "storage fails",
    "Is a banana": "ls -ld",
}


@pytest.mark.parametrize(("reason", "remedy"), REASONS.items(), ids=REASONS.keys())
def test_a_remedy_is_that_of_the_reason(reason: str, remedy: str) -> None:
    path = PurePosixPath("/data/x")
    assert remedy in remedy_for(reason, path, "adb:phone:5555")
    assert "/data" in remedy_for(reason, path, "adb:phone:5555")
    assert "local:FOLDER" not in remedy_for(reason, path, "adb:phone:5555")
