"""How a program is told to end: Ctrl-C, SIGTERM, SIGHUP."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn


def signal_name(number: int) -> str:
    """Such as ``SIGKILL``; ``signal 42`` where it has no name, as most real-time ones."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


class StopSignalError(KeyboardInterrupt):
    """The program was told to end. It unwinds as by Ctrl-C: workers stop, what is kept is whole."""

    def __init__(self, number: int) -> None:
        super().__init__(signal_name(number))
        self.number = number


@contextmanager
def stoppable() -> Iterator[None]:
    """Has SIGTERM and SIGHUP end the program as Ctrl-C does; a second one kills it.

    Python drops what is raised while it cleans up, as in a `__del__`; then it is raised once more.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        signal.signal(number, signal.SIG_DFL)
        raise StopSignalError(number)

    before = {}
    tell_dropped = sys.unraisablehook

    def dropped(found: Any) -> None:
        if not isinstance(error := found.exc_value, KeyboardInterrupt):
            tell_dropped(found)
            return
        number = exit_status(error) - 128
        if number in before:
            signal.signal(number, stop)
        threading.Timer(0.05, os.kill, (os.getpid(), number)).start()

    sys.unraisablehook = dropped
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        # Whoever started us had it ignored (nohup), or handles it: that stays.
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            before[number] = signal.signal(number, stop)
    try:
        yield
    finally:
        sys.unraisablehook = tell_dropped
        for number, handler in before.items():
            signal.signal(number, handler)


def word_for(stop: KeyboardInterrupt) -> str:
    """How a person is told of it."""
    return f"ended by {stop}" if isinstance(stop, StopSignalError) else "interrupted"


def exit_status(stop: KeyboardInterrupt) -> int:
    """As a shell counts: 128 and the number of the signal."""
    return 128 + (stop.number if isinstance(stop, StopSignalError) else signal.SIGINT)
