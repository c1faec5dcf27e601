"""How long work tells a person, or a CI log, how far it is."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Protocol

from pipeline.core.formatting import clock_time

if TYPE_CHECKING:
    from rich.console import Console
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
    """Plain lines on stderr, at most one every few seconds for each task: for logs.

    Args:
        interval_s: seconds between two lines of a task.
        prefix: what every line begins with.
    """

    def __init__(self, interval_s: float = 5.0, prefix: str = "") -> None:
        self._interval_s = interval_s
        self._prefix = prefix

    @contextmanager
    def task(self, title: str, total: float) -> Iterator[Task]:
        task = _LineTask(self._prefix + title, total, self._interval_s)
        yield task
        task.finish()

    def say(self, line: str) -> None:
        _print(self._prefix + line)


class _LineTask:
    def __init__(self, title: str, total: float, interval_s: float) -> None:
        self._title, self._total, self._interval_s = title, total, interval_s
        self._done = 0.0
        self._note = ""
        self._started = self._last = time.monotonic()
        #: What was done, and when, as the first of it was reported: of work that goes on, all
        #: that was done before is reported at once.
        self._first: tuple[float, float] | None = None

    def advance(self, amount: float = 1, note: str = "") -> None:
        self._done += amount
        self._note = note or self._note
        now = time.monotonic()
        self._first = self._first or (self._done, now)
        if now - self._last >= self._interval_s and self._done < self._total:
            self._last = now
            self._say(f"{100 * self._done / self._total:3.0f} %{self._left(now)}")

    def _left(self, now: float) -> str:
        """How long the rest takes if it goes on as fast as it went."""
        before, since = self._first or (self._done, now)
        if self._done <= before:
            return ""
        seconds = (now - since) * (self._total - self._done) / (self._done - before)
        return f", {clock_time(seconds)} left"

    def finish(self) -> None:
        self._say(f"done in {time.monotonic() - self._started:.1f} s")

    def _say(self, state: str) -> None:
        _print(f"{self._title}: {state}  {self._note}".rstrip())


def _print(line: str) -> None:
    """A line in one write: that of another process may come before or after it, not within.

    `print` writes its end by itself where PYTHONUNBUFFERED is set, as it often is in CI.
    """
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


class Bars:
    """Live bars on a terminal (stderr)."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(stderr=True)

    @contextmanager
    def task(self, title: str, total: float) -> Iterator[Task]:
        with _rich_progress(self._console, _TITLE) as progress:
            yield _BarTask(progress, progress.add_task(title, total=total, note=""))

    def say(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


#: Columns of what a bar is called: the title of a task, or the name of a device.
_TITLE, _NAME = 20, 26


def _rich_progress(console: Console, width: int) -> RichProgress:
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress
    from rich.table import Column

    return RichProgress(
        TextColumn(f"{{task.description:<{width}}}", markup=False),
        BarColumn(bar_width=40 - width),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(Column(no_wrap=True, min_width=len("0:00:00"))),
        TimeRemainingColumn(compact=True, table_column=Column(no_wrap=True)),
        TextColumn("{task.fields[note]}", style="dim", markup=False),
        console=console,
    )


class _BarTask:
    def __init__(self, progress: RichProgress, identity: TaskID) -> None:
        self._progress, self._identity = progress, identity

    def advance(self, amount: float = 1, note: str = "") -> None:
        if note:
            self._progress.update(self._identity, note=note)
        self._progress.advance(self._identity, amount)


class Row(Progress, Protocol):
    """One of several works that go on at the same time."""

    def end(self, word: str) -> None:
        """Announces how it ended, such as ``measured``."""
        ...


class Rows(Protocol):
    """Where several works are announced, each by a name of its own."""

    def row(self, name: str) -> Row:
        """A new one."""
        ...


class LineRows:
    """Plain lines on stderr, each with the name of its work: for logs."""

    def row(self, name: str) -> Row:
        return _LineRow(prefix=f"{name}: ")


class _LineRow(Lines):
    def end(self, word: str) -> None:
        self.say(word)


class BarRows:
    """A live bar for each work on a terminal (stderr): what it does now, and how far it is."""

    def __init__(self, progress: RichProgress) -> None:
        self._progress = progress

    def row(self, name: str) -> Row:
        return _BarRow(self._progress, name)


class _BarRow:
    def __init__(self, progress: RichProgress, name: str) -> None:
        self._progress, self._name = progress, name
        shown = name if len(name) <= _NAME else f"...{name[3 - _NAME :]}"
        self._identity = progress.add_task(shown, total=None, note="")
        self._begun = False

    @contextmanager
    def task(self, title: str, total: float) -> Iterator[Task]:
        self._begun = True
        self._progress.reset(self._identity, total=total, note=title)
        yield _RowTask(self._progress, self._identity, title)

    def say(self, line: str) -> None:
        self._progress.console.print(
            f"{self._name}: {line}", markup=False, highlight=False, soft_wrap=True
        )

    def end(self, word: str) -> None:
        if not self._begun:
            self._progress.update(self._identity, total=1)
        self._progress.update(self._identity, note=word)
        self._progress.stop_task(self._identity)


class _RowTask:
    def __init__(self, progress: RichProgress, identity: TaskID, title: str) -> None:
        self._progress, self._identity, self._title = progress, identity, title

    def advance(self, amount: float = 1, note: str = "") -> None:
        if note:
            self._progress.update(self._identity, note=f"{self._title}, {note}")
        self._progress.advance(self._identity, amount)


@contextmanager
def rows_for_terminal() -> Iterator[Rows]:
    """A bar for each work where a person watches, lines where a log is written."""
    if not sys.stderr.isatty():
        yield LineRows()
        return
    from rich.console import Console

    with _rich_progress(Console(stderr=True), _NAME) as progress:
        yield BarRows(progress)


def progress_for_terminal() -> Progress:
    """Bars where a person watches, lines where a log is written."""
    return Bars() if sys.stderr.isatty() else Lines()
