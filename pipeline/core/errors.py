"""The one error root of the pipeline, and the exit codes that the commands share."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum


class ExitCode(IntEnum):
    """What a command's exit status says. CI branches on these numbers: they never change."""

    OK = 0
    REGRESSION = 1
    USAGE = 2
    DEVICE = 3
    INTEGRITY = 4
    INCONCLUSIVE = 5


#: Wrong results weigh most; a wrong command comes before a device that may work the next time.
_BY_WEIGHT = (
    *(ExitCode.INTEGRITY, ExitCode.REGRESSION, ExitCode.USAGE),
    *(ExitCode.DEVICE, ExitCode.INCONCLUSIVE, ExitCode.OK),
)


def worst_code(codes: Iterable[ExitCode]) -> ExitCode:
    """The exit status of a command that did several things, each of which ended with its own."""
    return min(codes, key=_BY_WEIGHT.index, default=ExitCode.OK)


def first_lines(error: Exception) -> str:
    """The first two lines of what a user's code or a library raised, on one line.

    Not those that torch.fx adds: nodes of its graphs have names that no user knows.
    """
    said = str(error).partition("\nWhile executing %")[0]
    lines = [line for line in said.splitlines() if line.strip()]
    return " ".join(lines[:2])


class PipelineError(Exception):
    """Something that a user can understand and act upon.

    Args:
        code: the exit status that a command ends with when nothing handles the error.
        what: what went wrong, naming the file, key or device.
        remedy: what to do about it; empty only where ``what`` already says so.
    """

    def __init__(self, code: ExitCode, what: str, remedy: str = "") -> None:
        super().__init__(what)
        self.code = code
        self.what = what
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.what}\n  remedy: {self.remedy}" if self.remedy else self.what

    def __reduce__(self) -> tuple[object, ...]:
        # Errors cross process borders (lowering workers); the default would call __init__(what).
        return (type(self), self._arguments())

    def _arguments(self) -> tuple[object, ...]:
        return (self.code, self.what, self.remedy)


class UsageError(PipelineError):
    """A wrong setting, flag or input file: exit code 2."""

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(ExitCode.USAGE, what, remedy)

    def _arguments(self) -> tuple[object, ...]:
        return (self.what, self.remedy)


class DeviceError(PipelineError):
    """The device or the machine around it failed, not the thing measured: exit code 3."""

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(ExitCode.DEVICE, what, remedy)

    def _arguments(self) -> tuple[object, ...]:
        return (self.what, self.remedy)


class IntegrityError(PipelineError):
    """Bytes or numbers are not what they should be: exit code 4."""

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(ExitCode.INTEGRITY, what, remedy)

    def _arguments(self) -> tuple[object, ...]:
        return (self.what, self.remedy)
