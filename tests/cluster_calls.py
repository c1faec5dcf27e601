"""What tests let the workers of a cluster do; a module of theirs, too."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

from pipeline.core.errors import IntegrityError


def doubled(number: int) -> int:
    return 2 * number


class Thread:
    """Becomes the number of the thread that unpacks it."""

    def __reduce__(self) -> tuple[Callable[[], int], tuple[()]]:
        return threading.get_ident, ()


def is_here(thread: int) -> bool:
    return thread == threading.get_ident()


def wrong(number: int) -> int:
    raise IntegrityError(f"unit {number} deviates", "look at it")


def dies_once(number: int, folder: Path) -> int:
    """Ends its worker at the first call with 0, as a machine that is switched off."""
    if number == 0 and not (folder / "died").exists():
        (folder / "died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def dies(number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return number


def sleeps(seconds: float, begun: Path) -> None:
    begun.touch()
    time.sleep(seconds)
