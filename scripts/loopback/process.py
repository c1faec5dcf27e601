"""Processes that outlive the command which started them, known by more than a number."""

from __future__ import annotations

import os
import select
import signal
from dataclasses import dataclass
from pathlib import Path

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class Process:
    """A process id together with when it began, so that a reused id is never mistaken for it.

    Attributes:
        pid: the process id.
        started: clock ticks between the boot and the process's start.
        boot: the boot that both numbers belong to.
    """

    pid: int
    started: int
    boot: str

    @classmethod
    def of(cls, pid: int) -> Process:
        """Raises ProcessLookupError when there is no such process."""
        stat = _stat(pid)
        if stat is None:
            raise ProcessLookupError(f"no process {pid}")
        return cls(pid, stat.started, BOOT_ID.read_text().strip())

    @property
    def alive(self) -> bool:
        """Whether this very process still runs (one that only waits to be reaped does not)."""
        stat = _stat(self.pid)
        return (
            stat is not None
            and stat.state not in "ZX"
            and stat.started == self.started
            and BOOT_ID.read_text().strip() == self.boot
        )

    def kill(self, timeout_s: float) -> bool:
        """Kills this process and no other; tells whether it is gone within the time."""
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return True
        try:
            # Checked after the handle is open: from here on the handle cannot change its meaning.
            if not self.alive:
                return True
            signal.pidfd_send_signal(handle, signal.SIGKILL)
            return bool(select.select([handle], [], [], timeout_s)[0])
        finally:
            os.close(handle)


def children(pid: int) -> list[int]:
    """The processes whose parent is ``pid``."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            stat = _stat(int(folder.name))
            if stat is not None and stat.parent == pid:
                found.append(int(folder.name))
    return found


@dataclass(frozen=True)
class _Stat:
    state: str
    parent: int
    started: int


def _stat(pid: int) -> _Stat | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:  # it has ended, or /proc hides other users' processes
        return None
    # The name, in parentheses, may itself hold spaces and parentheses: see proc(5).
    fields = text.rpartition(")")[2].split()
    return _Stat(state=fields[0], parent=int(fields[1]), started=int(fields[19]))
