"""What the pipeline asks of a device; everything above this protocol is the same for all."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Protocol, Self

from pydantic import Field

from pipeline.core.errors import DeviceError, UsageError
from pipeline.core.toml_file import Section

#: Told the bytes sent so far and the bytes in all. An exception raised in it cancels the transfer.
TransferProgress = Callable[[int, int], None]


class DeviceGoneError(DeviceError):
    """The connection to the device is lost; a new one is needed."""


class DeviceTimeoutError(DeviceError):
    """A command or transfer did not end within its deadline; on the device it is killed."""


class OutputLimitError(DeviceError):
    """A command wrote more than was to be accepted; on the device it is killed."""


class TransferError(DeviceError):
    """A file did not arrive: refused, disk full, or other bytes than were sent."""


@contextmanager
def device_task(name: str) -> Iterator[None]:
    """Has errors of a device that is lost, late, or says too much, begin with what was being done.

    Args:
        name: task and device, such as ``deploying to adb:192.168.1.20:5555``.
    """
    try:
        yield
    except (DeviceGoneError, DeviceTimeoutError, OutputLimitError) as error:
        raise type(error)(f"{name}: {error.what}", error.remedy) from error


@dataclass(frozen=True, slots=True)
class Completed:
    """A command that has ended on the device.

    Attributes:
        argv: the command as it was given.
        returncode: its exit status; 128 + the signal's number when a signal ended it.
        stdout, stderr: all that it wrote.
        seconds: wall time as the host saw it, the transport included.
    """

    argv: tuple[str, ...]
    returncode: int
    stdout: bytes
    stderr: bytes
    seconds: float


class DeviceProperties(Section):
    """What a device says of itself. Values are None or empty where it does not say.

    Attributes:
        kind: ``local`` or ``adb``.
        serial: how the user names the device (``local``, ``127.0.0.1:5655``).
        model: product name, or the processor of a machine that has none.
        abi: the ABI that native programs need, in Android's spelling (``arm64-v8a``, ``x86_64``).
        system: operating system and release.
        sdk: Android API level.
        cores: number of processors online.
        memory_bytes: physical memory.
        extra: further properties worth recording, by name.
    """

    kind: str
    serial: str
    model: str
    abi: str
    system: str
    sdk: int | None
    cores: int
    memory_bytes: int | None
    extra: dict[str, str] = Field(default_factory=dict)


def checked_argv(argv: Sequence[str]) -> tuple[str, ...]:
    """The command as every device takes it.

    Raises:
        UsageError: it is empty, or holds a NUL, which no program can be given.
    """
    if not argv or not argv[0]:
        raise UsageError("there is no program to run on the device", "give its path or its name")
    if any("\0" in word for word in argv):
        raise UsageError(f"an argument of {argv[0]} holds a NUL character", "remove it")
    return tuple(argv)


class DeviceLock(AbstractContextManager["DeviceLock"]):
    """The right of one run to use a device's `Device.workdir`; given back by `close`."""

    @abstractmethod
    def close(self) -> None:
        """Gives it back; a second time does nothing."""

    def __exit__(self, *error: object) -> None:
        self.close()

    @abstractmethod
    def require(self) -> None:
        """Makes sure that it was held up to now.

        Raises:
            DeviceError: it was lost, so that another run may have used the folder.
        """


class Device(Protocol):
    """A machine that runs native programs: this one, or one behind the ADB protocol.

    Not safe for use from several threads at once. Paths on the device are absolute.
    """

    @property
    def spec(self) -> str:
        """The name that `connect` takes for this device, such as ``adb:127.0.0.1:5655``."""
        ...

    @property
    def workdir(self) -> PurePosixPath:
        """A folder on the device that belongs to the pipeline (made on first use)."""
        ...

    def properties(self) -> DeviceProperties: ...

    def run(
        self,
        argv: Sequence[str],
        *,
        deadline_s: float,
        stdin: bytes = b"",
        output_limit: int = 64 << 20,
        label: str = "",
    ) -> Completed:
        """Runs a program (no shell is visible to the caller) and waits for its end.

        It runs in ``/``, in a process group of its own, with the device's environment. The end is
        that of the program and of all that its standard output and error were handed on to. A
        program that is not there ends with 127, one that may not be executed with 126.

        Args:
            argv: program and arguments, passed on literally whatever characters they hold.
            deadline_s: seconds after which the program's process group is killed.
            stdin: what the program reads; its standard input ends after these bytes.
            output_limit: bytes of stdout and stderr together that are still accepted.
            label: what errors call it; by default, the program as it is named in argv.

        Raises:
            DeviceTimeoutError: the deadline passed; the process group is killed.
            DeviceGoneError: the connection was lost.
            OutputLimitError: more output than the limit; the process group is killed.
            DeviceError: a command line that is too long, or the device refused.
            UsageError: there is no program, or a NUL in an argument.
        """
        ...

    def push(
        self,
        source: Path,
        target: PurePosixPath,
        *,
        executable: bool = False,
        sha256: str | None = None,
        progress: TransferProgress | None = None,
    ) -> None:
        """Copies one file so that ``target`` is either the whole new file or what it was before.

        The bytes go to a temporary name beside the target, are checked by sha256 on the device and
        renamed into place; the folder is made when it is missing.

        Args:
            source: the file on this machine.
            target: its path on the device.
            executable: whether it is a program.
            sha256: what it has to hash to there, where that is known; by default, what was sent.
            progress: told what the device has taken.

        Raises:
            TransferError: disk full, permission denied or a checksum that differs; nothing is left.
            DeviceGoneError, DeviceTimeoutError: as for `run`.
        """
        ...

    def lock(self) -> DeviceLock:
        """Keeps all other runs off `workdir`, from any host, until the lock is closed.

        It ends with this process, too, however that ends. It may be held while the device is used.

        Raises:
            BusyError: another run has it; the message says who and since when.
            DeviceError: the device knows no locks, or the folder cannot be written to.
        """
        ...

    def close(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
