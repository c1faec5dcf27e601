"""Locks on places of this machine, so that two runs never write into one of them at once.

A lock is the kernel's (flock): it ends with the process that holds it, however that one ends. Its
file says who holds it, and means nothing while nobody does.
"""

from __future__ import annotations

import contextlib
import errno
import getpass
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.core.errors import DeviceError, PipelineError, UsageError
from pipeline.core.progress import Progress

if TYPE_CHECKING:
    from filelock import BaseFileLock

#: In folders that stay where they are; a folder that is replaced as a whole has its lock beside it.
LOCK_NAME = ".lock"
#: Everybody who may write to the folder may take the lock, whoever made its file.
_MODE = 0o666
_LONGEST_HOLDER = 300

_FULL = (errno.ENOSPC, errno.EDQUOT)
_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)


class BusyError(DeviceError):
    """Another run uses the device or the folder; it is named."""


@dataclass(frozen=True, slots=True)
class Place:
    """What a lock is for, in words for a person.

    Attributes:
        path: the folder or file.
        another: how a user names another place, such as ``name another with --cache``.
    """

    path: Path
    another: str


def holder_text() -> str:
    """Who this process is, as others are told: user, host, process, since when."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user without an entry in /etc/passwd
        user = f"user {os.getuid()}"
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")
    return f"{user}@{socket.gethostname()}, process {os.getpid()}, since {now} UTC"


def readable_holder(text: str) -> str:
    """What a lock's file says, fit to be printed."""
    shown = "".join(letter for letter in text.strip() if letter.isprintable())
    return shown[:_LONGEST_HOLDER] or "a run that does not say who it is"


@contextmanager
def using_folder(folder: Path, another: str, progress: Progress) -> Iterator[None]:
    """Has a folder of intermediate results for itself; waits, and says so, while another run does.

    Args:
        folder: made when it is missing.
        another: how a user names another folder.
        progress: told whom it waits for.

    Raises:
        UsageError: the folder cannot be written to.
        DeviceError: its disk is full, or knows no locks.
    """
    place = Place(folder, another)
    file = folder / LOCK_NAME
    made = _missing_folders(file)
    with _lock(file) as lock:
        if not _taken(lock, place, wait=False):
            progress.say(
                f"{folder} is in use by {_holder(lock)}; waiting for its end "
                f"(to go on at once, {another})"
            )
            _taken(lock, place, wait=True)
        try:
            yield
        finally:
            if made and [*folder.iterdir()] == [file]:  # a run that was refused leaves nothing
                _remove(file, made)


@contextmanager
def writing_folder(folder: Path, another: str) -> Iterator[Path]:
    """Has a folder of results for itself, which is made when it is missing.

    Args:
        folder: where files are written one by one.
        another: how a user names another folder.

    Yields:
        The lock's file.

    Raises:
        BusyError: another run writes there.
        UsageError: the folder cannot be written to.
        DeviceError: its disk is full, or knows no locks.
    """
    with _exclusive(folder / LOCK_NAME, Place(folder, another)):
        yield folder / LOCK_NAME


@contextmanager
def replacing_place(path: Path, another: str) -> Iterator[None]:
    """Has a file or folder for itself that is going to be replaced as a whole.

    The lock lies beside it. Arguments and errors are those of `writing_folder`.
    """
    place = Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow a link at its end
    if not place.name:
        raise UsageError(f"{path} cannot be replaced as a whole", another)
    with _exclusive(place.with_name(f".{place.name}{LOCK_NAME}"), Place(path, another)):
        yield


@contextmanager
def _exclusive(file: Path, place: Place) -> Iterator[None]:
    """Takes a lock or refuses; its file, and folders that it alone is in, are gone afterwards."""
    made = _missing_folders(file)
    with _lock(file) as lock:
        if not _taken(lock, place, wait=False):
            raise BusyError(
                f"{place.path} is in use by {_holder(lock)}",
                f"wait for its end, or {place.another}",
            )
        try:
            yield
        finally:
            _remove(file, made)


def _missing_folders(file: Path) -> list[Path]:
    return [folder for folder in file.parents if not folder.exists()]


def _remove(file: Path, made: list[Path]) -> None:
    """Removes a lock's file, and folders that were made for it where nothing else is in them.

    Safe while the lock is held: who has opened this very file sees that it has no name any more,
    and makes it anew.
    """
    with contextlib.suppress(OSError):
        file.unlink()
        for folder in made:
            folder.rmdir()


@contextmanager
def _lock(file: Path) -> Iterator[BaseFileLock]:
    from filelock import FileLock

    # A soft lock, its way out where there is no flock, would outlive a killed process.
    lock = FileLock(file, mode=_MODE, fallback_to_soft=False, on_acquired=_sign)
    with ExitStack() as stack:
        stack.callback(lock.release, force=True)
        yield lock


def _taken(lock: BaseFileLock, place: Place, *, wait: bool) -> bool:
    from filelock import Timeout

    file = Path(lock.lock_file)
    with _in_words(place):
        for last in (False, True):
            # The holder may have removed the folder that it had made for nothing.
            file.parent.mkdir(parents=True, exist_ok=True)
            try:
                # A run that was killed a moment ago may still be ending.
                lock.acquire(timeout=-1 if wait else 0.5, poll_interval=0.1)
                return True
            except Timeout:
                if file.exists():
                    return False
                # Its holder has just ended and removed it; or it cannot be made, as in /proc,
                # which filelock takes for the former.
            except FileNotFoundError:
                if last:
                    raise
        raise FileNotFoundError(errno.ENOENT, "no file can be made there", str(place.path))


def _sign(descriptor: int) -> None:
    """Writes into the lock's file who has just taken it."""
    with contextlib.suppress(OSError):  # a full disk: the lock itself holds nevertheless
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{holder_text()}\n".encode(), 0)


def _holder(lock: BaseFileLock) -> str:
    try:
        text = Path(lock.lock_file).read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    return readable_holder(text)


@contextmanager
def _in_words(place: Place) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _as_pipeline_error(error, place) from error


def _as_pipeline_error(error: OSError, place: Place) -> PipelineError:
    if error.errno in _FULL:
        return DeviceError(f"{place.path}: {error.strerror}", f"make room, or {place.another}")
    if error.errno in _NO_LOCKS:
        return DeviceError(
            f"{place.path} is on a file system without locks ({error.strerror}): two runs could "
            "not be kept apart",
            f"{place.another}, on a local disk",
        )
    reason = error.strerror
    if isinstance(error, FileExistsError):
        reason = f"{error.filename} is there already, and no folder"
    elif error.filename and Path(error.filename) != place.path:
        reason = f"{error.filename}: {reason}"
    return UsageError(f"{place.path} cannot be written to: {reason}", place.another)
