"""What lies below folders on a device, and its removal."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from pipeline.core.errors import DeviceError
from pipeline.device.base import Completed, Device
from pipeline.device.digest import batches
from pipeline.device.file_remedies import remedy_for

_DEADLINE_S = 60.0

#: Three lists, of folders, files and all else, with an empty name behind each. A folder that is not
#: there is none of an error; one that cannot be read is.
_LIST = r"""
for kind in '-type d' '-type f' '! -type d ! -type f'; do
  for top do
    if [ -e "$top" ] || [ -L "$top" ]; then find "$top" $kind -print0 || exit 1; fi
  done
  printf '\0'
done
"""
#: What find says of a folder that it cannot read, in toybox, busybox and GNU.
_UNREADABLE = re.compile(r"find: [\"'‘]?(/.+?)[\"'’]?: ")
_EXECUTABLE = 'for f do [ -x "$f" ] && echo yes || echo no; done'


@dataclass(frozen=True, slots=True)
class Tree:
    """Everything below some folders of a device, these themselves included.

    Attributes:
        folders: without what symbolic links to folders lead to.
        files: regular files.
        others: symbolic links, sockets, pipes...
    """

    folders: frozenset[PurePosixPath]
    files: frozenset[PurePosixPath]
    others: frozenset[PurePosixPath]


def read_tree(device: Device, tops: Sequence[PurePosixPath]) -> Tree:
    """Lists what is below folders, which need not exist.

    Raises:
        DeviceError: a folder cannot be read.
    """
    done = device.run(["sh", "-c", _LIST, "sh", *map(str, tops)], deadline_s=_DEADLINE_S)
    unreadable = _UNREADABLE.search(done.stderr.decode("utf-8", "replace"))
    place = PurePosixPath(unreadable[1]) if unreadable else tops[0]
    _require(device, done, f"{place} cannot be listed", place)
    lists: list[set[PurePosixPath]] = [set()]
    for name in done.stdout.split(b"\0"):
        if name:
            lists[-1].add(PurePosixPath(os.fsdecode(name)))
        else:
            lists.append(set())
    _require(device, done, f"find in {tops[0]} gave no whole list", tops[0], whole=len(lists) > 3)
    return Tree(*map(frozenset, lists[:3]))


def remove(device: Device, paths: Iterable[PurePosixPath]) -> None:
    """Removes files, links (not what they lead to) and folders with all that is in them.

    Raises:
        DeviceError: something cannot be removed.
    """
    for batch in batches(sorted(paths)):
        done = device.run(["rm", "-rf", *map(str, batch)], deadline_s=_DEADLINE_S)
        _require(device, done, f"old files in {batch[0].parent} cannot be removed", batch[0])


def make_folders(device: Device, folders: Sequence[PurePosixPath]) -> None:
    """Makes folders, with those above them.

    Raises:
        DeviceError: one cannot be made.
    """
    words = ["sh", "-c", 'umask 022; mkdir -p "$@"', "sh", *map(str, folders)]
    done = device.run(words, deadline_s=_DEADLINE_S)
    _require(device, done, f"{folders[0]} cannot be made", folders[0])


def not_executable(device: Device, paths: Sequence[PurePosixPath]) -> set[PurePosixPath]:
    """Those of some paths where no program is that may be executed there.

    Raises:
        DeviceError: the device has no shell.
    """
    if not paths:
        return set()
    done = device.run(
        ["sh", "-c", _EXECUTABLE, "sh", *map(str, paths)],
        deadline_s=_DEADLINE_S,
    )
    answers = done.stdout.decode("ascii", "replace").split()
    whole = len(answers) == len(paths)
    _require(device, done, f"the mode of {paths[0]} cannot be read", paths[0], whole=whole)
    return {path for path, answer in zip(paths, answers, strict=True) if answer != "yes"}


def _require(
    device: Device, done: Completed, what: str, path: PurePosixPath, *, whole: bool = True
) -> None:
    if done.returncode == 0 and whole:
        return
    reason = done.stderr.decode("utf-8", "replace").strip() or f"exit status {done.returncode}"
    raise DeviceError(f"{what} on {device.spec}: {reason}", remedy_for(reason, path, device.spec))
