"""A process that measures one device, and the end of it that the other process holds.

Each device has a process of its own: whatever ends it, a fault of a library included, the others go
on; and it ends as the whole command does on Ctrl-C, which is what leaves a device clean.
"""

from __future__ import annotations

import logging
import multiprocessing
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue
from types import FrameType
from typing import Any, NoReturn, Protocol

from pipeline.core.command_line import as_pipeline_error
from pipeline.core.errors import DeviceError, PipelineError
from pipeline.core.progress import Progress, Row, Task
from pipeline.core.stop_signals import StopSignalError, signal_name
from pipeline.device.base import DeviceProperties
from pipeline.device.identity import Identity
from pipeline.report.devices import Measured

#: Seconds between two words on one task: each wakes the other process.
_INTERVAL_S = 0.2


@dataclass(frozen=True, slots=True)
class Introduction:
    """What a device says before it is its turn."""

    properties: DeviceProperties
    identity: Identity


@dataclass(frozen=True, slots=True)
class Finished:
    """A device whose report is written.

    Attributes:
        measured: what it says.
        wrong: what is wrong with its results, if so.
    """

    measured: Measured
    wrong: PipelineError | None = None


class DeviceWork(Protocol):
    """What the process does; it travels there, and so must be of a module that can be imported."""

    def introduce(self) -> Introduction:
        """Asks the device who it is, and leaves it again."""
        ...

    def measure(self, harness: Path, progress: Progress) -> Finished:
        """Measures it with a harness package, and writes its report."""
        ...


class DeviceProcess:
    """The process, seen from the one that started it.

    Args:
        work: what it does. It begins with `DeviceWork.introduce`, and then waits for `measure`.
        row: where its progress is announced.
    """

    def __init__(self, work: DeviceWork, row: Row) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, other_end = context.Pipe()
        self._row = row
        self._tasks: list[tuple[AbstractContextManager[Task], Task]] = []
        self._process = context.Process(target=_serve, args=(other_end, work), daemon=True)
        with _terminal_signals_ignored():
            self._process.start()
        other_end.close()

    def measure(self, harness: Path) -> None:
        """Gives the device its turn."""
        with suppress(OSError):  # a process that has ended is noticed by `receive`
            self.connection.send(harness)

    def receive(self) -> Introduction | Finished | PipelineError | None:
        """What it says next; None for progress, which is passed on. Call when something came."""
        try:
            message = self.connection.recv()
        except (EOFError, OSError):
            self._process.join()
            return _died(self._process.exitcode)
        if not isinstance(message, _Announced):
            answer: Introduction | Finished | PipelineError = message
            return answer
        self._announce(message)
        return None

    def stop(self) -> None:
        """Tells it to end; what it was doing on the device is ended there, too."""
        self.connection.close()

    def join(self, deadline: float) -> None:
        """Waits for its end, and kills it when it takes longer than to a time (monotonic)."""
        self._process.join(max(0.0, deadline - time.monotonic()))
        self.kill()

    def kill(self) -> None:
        """Ends it at once."""
        self._process.kill()
        self._process.join()

    def _announce(self, message: _Announced) -> None:
        if message.kind == "say":
            self._row.say(*message.words)
        elif message.kind == "begin":
            context = self._row.task(*message.words)
            self._tasks.append((context, context.__enter__()))
        elif message.kind == "advance":
            self._tasks[-1][1].advance(*message.words)
        else:
            context, _ = self._tasks.pop()
            context.__exit__(None, None, None)


def _died(status: int | None) -> DeviceError:
    how = f"ended with status {status}"
    if status is not None and status < 0:
        how = f"was ended by {signal_name(-status)}"
    return DeviceError(
        f"the process on this machine that measured it {how}",
        "see its last words above and the system's log (dmesg); if memory ran out, measure fewer "
        "devices at once",
    )


@contextmanager
def _terminal_signals_ignored() -> Iterator[None]:
    """What is started in the block is not reached by Ctrl-C until it has handlers of its own."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _OF_THE_TERMINAL)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_OF_THE_TERMINAL = (signal.SIGINT, signal.SIGHUP)


# ---- in the process


@dataclass(frozen=True, slots=True)
class _Announced:
    """A call of a `Progress` or of its task: ``say``, ``begin``, ``advance``, ``end``."""

    kind: str
    words: tuple[Any, ...] = ()


def _serve(connection: Connection, work: DeviceWork) -> None:
    """What the process does from its beginning to its end."""
    progress = _Sent(connection)
    logging.basicConfig(
        handlers=[_ProgressHandler(progress)], level=logging.WARNING, format="%(message)s"
    )
    turns: SimpleQueue[Path] = SimpleQueue()
    _take_signals()
    threading.Thread(target=_listen, args=(connection, turns), daemon=True).start()
    try:
        connection.send(work.introduce())
        answer: Finished | PipelineError = work.measure(turns.get(), progress)
    except StopSignalError as stop:
        answer = DeviceError(f"the process that measured it was ended by {stop}", "run again")
    except BaseException as error:
        answer = as_pipeline_error(error)
    _ignore_signals()
    with suppress(OSError):  # the other process may be gone
        connection.send(answer)


def _take_signals() -> None:
    """Has SIGTERM end the process as Ctrl-C ends a command; the terminal's go to the other one."""

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        _ignore_signals()
        raise StopSignalError(number)

    for number in _OF_THE_TERMINAL:
        # Not SIG_IGN: programs that are started here would have it, too.
        signal.signal(number, _nothing)
    signal.signal(signal.SIGTERM, stop)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _OF_THE_TERMINAL)


def _ignore_signals() -> None:
    signal.signal(signal.SIGTERM, _nothing)


def _nothing(number: int, frame: FrameType | None) -> None:
    pass


def _listen(connection: Connection, turns: SimpleQueue[Path]) -> None:
    """Passes a turn on; where the other process wants no more of this one, or is gone, ends it."""
    try:
        while True:
            turns.put(connection.recv())
    except (EOFError, OSError):
        main = threading.main_thread().ident
        assert main is not None
        # To the main thread: another one would let it sleep on in the system call that it is in.
        signal.pthread_kill(main, signal.SIGTERM)


class _Sent:
    """A `Progress` that is announced in the other process."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @contextmanager
    def task(self, title: str, total: float) -> Iterator[Task]:
        self.send("begin", title, total)
        task = _SentTask(self)
        try:
            yield task
        finally:
            task.flush()
            self.send("end")

    def say(self, line: str) -> None:
        self.send("say", line)

    def send(self, kind: str, *words: Any) -> None:
        with suppress(OSError):  # it is gone, and this one about to be ended
            self._connection.send(_Announced(kind, words))


class _SentTask:
    def __init__(self, progress: _Sent) -> None:
        self._progress = progress
        self._amount = 0.0
        self._note = ""
        self._last = time.monotonic()

    def advance(self, amount: float = 1, note: str = "") -> None:
        self._amount += amount
        self._note = note or self._note
        if time.monotonic() - self._last >= _INTERVAL_S:
            self.flush()

    def flush(self) -> None:
        if self._amount or self._note:
            self._progress.send("advance", self._amount, self._note)
        self._amount, self._note, self._last = 0.0, "", time.monotonic()


class _ProgressHandler(logging.Handler):
    """What is logged, such as that a device waits for its owner, as a line of progress."""

    def __init__(self, progress: _Sent) -> None:
        super().__init__()
        self._progress = progress

    def emit(self, record: logging.LogRecord) -> None:
        self._progress.say(self.format(record))
