"""Programs and processes that this one starts, and that do not outlive it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

#: prctl(2): the signal that a process gets when the thread that started it ends.
_PR_SET_PDEATHSIG = 1


def end_with(parent: int) -> None:
    """Has the system kill this process when the one that started it is gone, however that ended.

    A worker that waits for work notices nothing of it: joblib's would stay for five minutes.
    Elsewhere than on Linux this does nothing.

    Args:
        parent: the process that started this one.
    """
    if sys.platform != "linux":
        return
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:  # it ended before we asked
        os.kill(os.getpid(), signal.SIGKILL)


@contextmanager
def started(command: Sequence[str], **options: Any) -> Iterator[subprocess.Popen[Any]]:
    """Starts a program, and kills it with all that it started where the block ends by an error.

    Else Ctrl-C and SIGTERM, which only this process may get, would wait for a build to its end.

    Args:
        command: the program and its arguments.
        options: of `subprocess.Popen`. The program leads a process group of its own.
    """
    with subprocess.Popen(command, **{"process_group": 0, **options}) as process:
        try:
            yield process
        except BaseException:
            kill_group(process)
            raise


def run(
    command: Sequence[str], *, timeout_s: float | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs a program to its end as `started` starts it, and gives what it wrote.

    Raises:
        subprocess.TimeoutExpired: it took longer; it was killed.
    """
    pipe, none = subprocess.PIPE, subprocess.DEVNULL
    with started(command, stdin=none, stdout=pipe, stderr=pipe, errors="replace") as process:
        stdout, stderr = process.communicate(timeout=timeout_s)
    return subprocess.CompletedProcess(command, process.returncode, stdout, stderr)


def kill_group(process: subprocess.Popen[Any]) -> None:
    """Kills the process group that a program leads, which was not waited for yet."""
    # Until it is, its number cannot mean another group.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
