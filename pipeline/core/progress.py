"""How long work tells a person, or a CI log, how far it is."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID


class Task(Protocol):
    """One piece of work under way."""

    def advance(self, amount: float = 1, note: str = "") -> None:
        """Reports `amount` more of the total as done; `note` replaces the text beside the bar."""
        ...


class Progress(Protocol):
    """Where work is announced."""

    def task(self, title: str, total: float) -> AbstractContextManager[Task]:
        """Announces work of `total` units of whatever the caller counts."""
        ...

    def say(self, line: str) -> None:
        """Prints one line above whatever is under way."""
        ...


class Silent:
    """Tells nobody."""

    @contextmanager
    def task(self, title: str, total: float) -> Iterator[Task]:
        yield _SilentTask()

    def say(self, line: str) -> None:
        pass


class _SilentTask:
    def advance(self, amount: float = 1, note: str = "") -> None:
        pass


class Lines:
    """Plain lines on stderr, at most one every few seconds for each task: for logs."""

    def __init__(self, interval_s: float = 5.0) -> None:
        self._interval_s = interval_s

    @contextmanager
    def task(self, title: str, total: float) -> Iterator[Task]:
        task = _LineTask(title, total, self._interval_s)
        yield task
        task.finish()

    def say(self, line: str) -> None:
        print(line, file=sys.stderr, flush=True)


class _LineTask:
    def __init__(self, title: str, total: float, interval_s: float) -> None:
        self._title, self._total, self._interval_s = title, total, interval_s
        self._done = 0.0
        self._note = ""
        self._started = self._last = time.monotonic()

    def advance(self, amount: float = 1, note: str = "") -> None:
        self._done += amount
        self._note = note or self._note
        if time.monotonic() - self._last >= self._interval_s and self._done < self._total:
            self._last = time.monotonic()
            self._print(f"{100 * self._done / self._total:3.0f} %")

    def finish(self) -> None:
        self._print(f"done in {time.monotonic() - self._started:.1f} s")

    def _print(self, state: str) -> None:
        print(f"{self._title}: {state}  {self._note}".rstrip(), file=sys.stderr, flush=True)


class Bars:
    """Live bars on a terminal (stderr)."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(stderr=True)

    @contextmanager
    def task(self, title: str, total: float) -> Iterator[Task]:
        from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as RichProgress
        from rich.table import Column

        columns = (
            TextColumn("{task.description:<20}"),
            BarColumn(bar_width=28),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(Column(no_wrap=True, min_width=len("0:00:00"))),
            TextColumn("{task.fields[note]}", style="dim"),
        )
        with RichProgress(*columns, console=self._console) as progress:
            yield _BarTask(progress, progress.add_task(title, total=total, note=""))

    def say(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


class _BarTask:
    def __init__(self, progress: RichProgress, identity: TaskID) -> None:
        self._progress, self._identity = progress, identity

    def advance(self, amount: float = 1, note: str = "") -> None:
        if note:
            self._progress.update(self._identity, note=note)
        self._progress.advance(self._identity, amount)


def progress_for_terminal() -> Progress:
    """Bars where a person watches, lines where a log is written."""
    return Bars() if sys.stderr.isatty() else Lines()
