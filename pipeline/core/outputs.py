"""Places that a command is going to write to, checked before its work begins."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

from pipeline.core.atomic_files import real_path
from pipeline.core.errors import DeviceError, UsageError

#: What says that a folder is a bundle, or holds the control arms of one.
_HEADS = ("manifest.json", "control.json")
_SUMS = "SHA256SUMS"
#: Bytes that have to be free: a report takes some, and comes after minutes of work.
LEAST_FREE_BYTES = 8 << 20


def require_folder(path: Path, flag: str) -> None:
    """Makes sure that files can be written into a folder, which need not be there yet.

    Args:
        path: the folder.
        flag: the option that names it, for the remedy.

    Raises:
        UsageError: something else is there, it lies in a bundle, or it cannot be written to.
        DeviceError: the disk is full or broken.
    """
    remedy = f"name another with {flag}"
    target = _real(path, remedy)
    if target.exists() and not target.is_dir():
        raise UsageError(f"{path}: is there already, and no folder", remedy)
    _require_outside_bundles(path, target, remedy)
    _require_writable(path, target, remedy)


def require_file(path: Path, flag: str, *, reads: tuple[Path, ...] = ()) -> None:
    """Makes sure that a file can be written, which need not be there yet.

    Args:
        path: the file.
        flag: the option that names it, for the remedy.
        reads: files that the command reads, and so must not overwrite.

    Raises:
        UsageError: a folder or an input is there, it lies in a bundle, or it cannot be written.
        DeviceError: the disk is full or broken.
    """
    remedy = f"name another with {flag}"
    target = _real(path, remedy)
    if target.is_dir():
        raise UsageError(f"{path}: is a folder, and a file is to be written there", remedy)
    if target.exists() and not target.is_file():
        raise UsageError(f"{path}: is no ordinary file, and would be replaced by one", remedy)
    if any(target == real_path(read) for read in reads):
        raise UsageError(f"{path}: would overwrite what this command reads", remedy)
    _require_outside_bundles(path, target.parent, remedy)
    _require_writable(path, target.parent, remedy)


def require_replaceable(
    path: Path,
    foreign: Callable[[Path], str | None],
    flag: str,
    *,
    keeps: tuple[Path, ...] = (),
) -> None:
    """Makes sure that a folder can be written as a whole, replacing one of its kind.

    Args:
        path: the folder.
        foreign: says of a folder that is there what it holds that must not be lost, if anything.
        flag: the option that names it, for the remedy.
        keeps: files and folders that are needed and must not be replaced with it.

    Raises:
        UsageError: a folder of another kind or a file is there, or it cannot be written.
        DeviceError: the disk is full or broken.
    """
    remedy = f"name another with {flag}"
    target = _real(path, remedy)
    for kept in (Path(), *keeps):
        if real_path(kept).is_relative_to(target):
            what = "the current folder" if kept == Path() else str(kept)
            raise UsageError(f"{path}: {what} lies there, and would be replaced with it", remedy)
    if os.path.lexists(target) and not _is_empty_folder(target):
        if not target.is_dir():
            raise UsageError(f"{path}: is there already, and no folder", remedy)
        if why := foreign(target):
            raise UsageError(
                f"{path} exists and is no folder that this command wrote ({why})",
                f"{remedy}, or move away what is there",
            )
    _require_outside_bundles(path, target.parent, remedy)
    _require_writable(path, target.parent, remedy)


def _is_empty_folder(path: Path) -> bool:
    try:
        return path.is_dir() and not any(path.iterdir())
    except OSError:
        return False


def _real(path: Path, remedy: str) -> Path:
    """The path that would be written, without links; such a name may be there."""
    target = real_path(path)
    try:
        if stat.S_ISLNK(os.lstat(target).st_mode):
            raise OSError(errno.ELOOP, "symbolic links that lead in a circle")
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:  # or a name that is too long
        raise UsageError(f"{path}: {error.strerror}", remedy) from None
    return target


def _require_outside_bundles(path: Path, folder: Path, remedy: str) -> None:
    """A file more in a bundle is damage to it."""
    for place in (folder, *folder.parents):
        if (place / _SUMS).is_file() and any((place / head).is_file() for head in _HEADS):
            raise UsageError(
                f"{path}: would lie in {place}, a bundle or its control arms, and damage it", remedy
            )


def _require_writable(path: Path, folder: Path, remedy: str) -> None:
    """Writes a nameless file into the nearest folder that is there already, and looks for room."""
    place = folder
    while not os.path.lexists(place):
        place = place.parent
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(b"\0")
            file.flush()
        storage = shutil.disk_usage(place)
        if storage.total and storage.free < LEAST_FREE_BYTES:
            raise OSError(errno.ENOSPC, f"{storage.free / 1e6:.1f} MB are left on the disk")
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
            raise DeviceError(
                f"{path}: cannot be written: {error.strerror}", f"make room there, or {remedy}"
            ) from None
        reason = "no folder" if not place.is_dir() else error.strerror
        raise UsageError(f"{path}: cannot be written: {place}: {reason}", remedy) from None
