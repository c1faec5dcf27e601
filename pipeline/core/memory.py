"""How much memory this process may still take, on Linux as its control groups allow."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_ROOT = Path("/")


def available_memory(root: Path = _ROOT) -> int:
    """Bytes that can be taken before the system swaps or ends a process.

    The least of what the kernel calls available and what each control group of this process, such
    as a container's, has left; what they hold of files can be taken back and counts as left. Where
    the system tells none of it, half of the machine's memory.

    Args:
        root: of the file system.
    """
    found = [*_of_machine(root), *_of_groups(root)]
    if found:
        return max(0, min(found))
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def _of_machine(root: Path) -> Iterator[int]:
    with suppress(OSError, ValueError):
        for line in (root / "proc/meminfo").read_text().splitlines():
            key, _, value = line.partition(":")
            if key == "MemAvailable":
                yield 1024 * int(value.split()[0])


def _of_groups(root: Path) -> Iterator[int]:
    """What is left in each group that this process is in, from its own up to the outermost.

    In a container these are seen where the outermost of a machine is, whatever they are called.
    """
    with suppress(OSError):
        for line in (root / "proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            mount = root / "sys/fs/cgroup"
            if "memory" in controllers.split(","):
                mount, names = mount / "memory", ("limit_in_bytes", "usage_in_bytes")
            elif not controllers:
                names = ("max", "current")
            else:
                continue
            inner = mount / path.lstrip("/")
            for group in (inner, *inner.parents):
                if group.is_relative_to(mount):
                    yield from _left(group, *names)


def _left(group: Path, limit: str, usage: str) -> Iterator[int]:
    with suppress(OSError, ValueError):  # "max", or a group that is not seen from here
        most, used = (int((group / f"memory.{name}").read_text()) for name in (limit, usage))
        yield most - used + _reclaimable(group)


def _reclaimable(group: Path) -> int:
    with suppress(OSError, ValueError):
        for line in (group / "memory.stat").read_text().splitlines():
            key, _, value = line.partition(" ")
            if key in ("inactive_file", "total_inactive_file"):
                return int(value)
    return 0
