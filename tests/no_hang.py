"""A hang that is to be a failure."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator


@contextlib.contextmanager
def no_hang(seconds: int) -> Iterator[None]:
    """Turns a hang into a failure; the seconds are far above what the block needs."""

    def fail(*_: object) -> None:
        raise AssertionError(f"it hangs: no end within {seconds} s")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
