"""`Device.push`: what every device does with a file."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path, PurePosixPath

import pytest

from pipeline.device.base import Device, TransferError
from pipeline.device.digest import device_sha256
from tests.no_hang import no_hang

from .conftest import names, read

#: Larger than one ADB message, and no multiple of anything.
SEVERAL_MESSAGES = random.Random(6).randbytes(3 * (1 << 20) + 12_345)
#: On both sides of what one sync block and one ADB message hold.
SIZES = [0, 1, 65_535, 65_536, 65_537, (1 << 20) - 9, 1 << 20, (1 << 20) + 1, 5_000_000]

ODD_NAMES = {
    "space": "a  b",
    "quote": 'it\'s "it"',
    "comma": "a,0644",
    "line end": "a\nb",
    "shell": "$(id); *",
    "dash": "-rf",
    "backslash": "a\\nb",
    "unicode": "Größe 🦩",
    "longest": "x" * 255,
}


class Cancelled(BaseException):
    """Like KeyboardInterrupt, no Exception."""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(SEVERAL_MESSAGES)
    return path


@pytest.mark.parametrize("size", SIZES)
def test_a_pushed_file_holds_the_same_bytes(
    device: Device, folder: PurePosixPath, tmp_path: Path, size: int
) -> None:
    data = random.Random(size).randbytes(size)
    (tmp_path / "source").write_bytes(data)
    device.push(tmp_path / "source", folder / "target")
    assert read(device, folder / "target") == data


@pytest.mark.parametrize("name", ODD_NAMES.values(), ids=ODD_NAMES.keys())
def test_any_name_survives_the_way_there(
    device: Device, folder: PurePosixPath, source: Path, name: str
) -> None:
    device.push(source, folder / name)
    assert read(device, folder / name) == SEVERAL_MESSAGES


@pytest.mark.parametrize(("executable", "mode"), [(False, b"644"), (True, b"755")])
def test_the_mode_says_whether_a_file_is_a_program(
    device: Device, folder: PurePosixPath, source: Path, executable: bool, mode: bytes
) -> None:
    device.push(source, folder / "target", executable=executable)
    done = device.run(["stat", "-c", "%a", str(folder / "target")], deadline_s=10)
    assert done.stdout.strip() == mode


def test_a_pushed_program_runs(device: Device, folder: PurePosixPath, tmp_path: Path) -> None:
    (tmp_path / "program").write_text('#!/bin/sh\necho "I run with $1"\n')
    device.push(tmp_path / "program", folder / "program", executable=True)
    done = device.run([str(folder / "program"), "one"], deadline_s=10)
    assert done.stdout == b"I run with one\n"


def test_push_makes_the_folders(device: Device, folder: PurePosixPath, source: Path) -> None:
    device.push(source, folder / "new" / "deeper" / "target")
    assert names(device, folder / "new" / "deeper") == ["target"]


def test_push_replaces_a_file_that_is_there(
    device: Device, folder: PurePosixPath, source: Path, tmp_path: Path
) -> None:
    (tmp_path / "old").write_bytes(b"old")
    device.push(tmp_path / "old", folder / "target")
    device.push(source, folder / "target")
    assert read(device, folder / "target") == SEVERAL_MESSAGES
    assert names(device, folder) == ["target"]


def test_a_reader_of_the_old_file_keeps_it(
    device: Device, folder: PurePosixPath, source: Path, tmp_path: Path, second: Device
) -> None:
    """The new file is renamed into place, not written over the old one."""
    (tmp_path / "old").write_bytes(b"old")
    device.push(tmp_path / "old", folder / "target")
    second.run(["ln", str(folder / "target"), str(folder / "link")], deadline_s=10)
    device.push(source, folder / "target")
    assert read(device, folder / "link") == b"old"


@pytest.mark.parametrize("data", [b"", SEVERAL_MESSAGES], ids=["empty", "large"])
def test_progress_grows_up_to_the_whole(
    device: Device, folder: PurePosixPath, tmp_path: Path, data: bytes
) -> None:
    (tmp_path / "file").write_bytes(data)
    calls: list[tuple[int, int]] = []

    def progress(done: int, total: int) -> None:
        calls.append((done, total))

    device.push(tmp_path / "file", folder / "file", progress=progress)
    assert {total for _, total in calls} == {len(data)}
    assert [done for done, _ in calls] == sorted({done for done, _ in calls})
    assert calls[-1][0] == len(data)
    assert len(calls) >= (3 if data else 1)


@pytest.mark.parametrize("error", [KeyboardInterrupt, Cancelled, RuntimeError])
@pytest.mark.parametrize("call", [1, 2, -1], ids=["first", "second", "last"])
def test_a_cancelled_push_leaves_nothing(
    device: Device,
    second: Device,
    folder: PurePosixPath,
    source: Path,
    error: type[BaseException],
    call: int,
) -> None:
    device.run(["sh", "-c", f"echo old >{folder}/target"], deadline_s=10)
    calls = 0

    def cancel(done: int, total: int) -> None:
        nonlocal calls
        calls += 1
        if calls == call or (call == -1 and done == total):
            raise error

    with pytest.raises(error):
        device.push(source, folder / "target", progress=cancel)
    with no_hang(60):
        # adbd may have opened the file after it was removed here; it removes it as it finds out.
        while names(second, folder) != ["target"]:
            pass
    assert read(device, folder / "target") == b"old\n"


def test_a_file_that_changes_on_its_way_is_refused(
    device: Device, second: Device, folder: PurePosixPath, source: Path
) -> None:
    device.run(["sh", "-c", f"echo old >{folder}/target"], deadline_s=10)
    # adbd may open its file late, and write the first of it later.
    found = f"until f=$(ls -d {folder}/.pwl-* 2>/dev/null) && [ -s $f ]; do sleep 0.05; done"
    spoil = f"{found}; printf X | dd of=$f conv=notrunc"

    def spoiling(done: int, total: int) -> None:
        if done == total:
            assert second.run(["sh", "-c", spoil], deadline_s=60).returncode == 0

    with pytest.raises(TransferError, match="arrived as"):
        device.push(source, folder / "target", progress=spoiling)
    assert names(device, folder) == ["target"]
    assert read(device, folder / "target") == b"old\n"


def test_a_file_that_does_not_hash_to_what_it_has_to_is_refused(
    device: Device, folder: PurePosixPath, source: Path
) -> None:
    device.run(["sh", "-c", f"echo old >{folder}/target"], deadline_s=10)
    with pytest.raises(TransferError, match="arrived as"):
        device.push(source, folder / "target", sha256="0" * 64)
    assert names(device, folder) == ["target"]
    assert read(device, folder / "target") == b"old\n"
    right = hashlib.sha256(SEVERAL_MESSAGES).hexdigest()
    device.push(source, folder / "target", sha256=right)
    assert read(device, folder / "target") == SEVERAL_MESSAGES


def test_an_error_of_the_callback_is_not_taken_for_one_of_the_transfer(
    device: Device, folder: PurePosixPath, source: Path
) -> None:
    def fail(done: int, total: int) -> None:
        raise BrokenPipeError("the terminal is gone")

    with pytest.raises(BrokenPipeError):
        device.push(source, folder / "file", progress=fail)


#: Source and target, relative to their folders.
REFUSED = {
    "onto a folder": ("source", ""),
    "below a file": ("source", "file/target"),
    "where nobody may write": ("source", "/proc/pwl/target"),
    "with too long a name": ("source", "x" * 256),
    "of a missing file": ("missing", "target"),
    "of a folder": ("", "target"),
}


@pytest.mark.parametrize(("source_name", "target"), REFUSED.values(), ids=REFUSED.keys())
def test_a_push_that_cannot_be_says_so_and_leaves_nothing(
    device: Device, folder: PurePosixPath, source: Path, source_name: str, target: str
) -> None:
    device.run(["touch", str(folder / "file")], deadline_s=10)
    with pytest.raises(TransferError) as caught:
        device.push(source.parent / source_name, folder / target)
    assert caught.value.remedy
    assert names(device, folder) == ["file"]
    assert device.run(["echo", "usable"], deadline_s=10).stdout == b"usable\n"


def test_device_sha256_knows_what_is_there(
    device: Device, folder: PurePosixPath, source: Path
) -> None:
    paths = [folder / name for name in ODD_NAMES.values()]
    for path in paths[::2]:
        device.push(source, path)
    digest = hashlib.sha256(SEVERAL_MESSAGES).hexdigest()
    assert device_sha256(device, [*paths, folder]) == dict.fromkeys(paths[::2], digest)


def test_device_sha256_hashes_thousands_of_files_in_few_commands(
    device: Device, folder: PurePosixPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = f"cd {folder}; for i in $(seq 300); do echo $i >file-$i; done"
    assert device.run(["sh", "-c", make], deadline_s=30).returncode == 0
    commands = []
    run = device.run
    monkeypatch.setattr(
        device, "run", lambda argv, **options: commands.append(argv) or run(argv, **options)
    )
    wanted = [folder / f"file-{i}" for i in range(1, 3001)]
    digests = device_sha256(device, wanted)
    expected = {
        folder / f"file-{i}": hashlib.sha256(f"{i}\n".encode()).hexdigest() for i in range(1, 301)
    }
    assert digests == expected
    assert 1 < len(commands) < 10


def test_device_sha256_of_nothing_is_nothing(device: Device) -> None:
    assert device_sha256(device, []) == {}
