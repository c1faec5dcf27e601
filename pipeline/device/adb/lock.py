"""The lock of a device's working folder: held by a program on the device that waits for our end.

It is the kernel's lock (flock) on a file there. Where our connection ends, however that happens,
adbd closes the program's input, it ends, and the lock with it.
"""

from __future__ import annotations

import contextlib
import re
import time
from pathlib import PurePosixPath

from pipeline.core.errors import DeviceError
from pipeline.core.locks import BusyError, readable_holder
from pipeline.device.adb.link import Link
from pipeline.device.adb.shell import (
    CLOSE_STDIN,
    EXIT,
    SERVICE,
    SHELL_HEADER,
    STDERR,
    STDIN,
    STDOUT,
    Frames,
    command_line,
)
from pipeline.device.base import DeviceLock, DeviceTimeoutError
from pipeline.device.file_remedies import remedy_for

#: Of HOLD: the device has no flock; another run holds the lock.
NO_FLOCK, BUSY = 70, 71

# Arguments: the lock's file, HOLD, who we are. Android's shell closes what `exec 9<>` opens before
# it starts a program, but not what a redirection of that program opens. Whoever made the file, as
# after `adb root`, everybody may open it.
OPEN = r"""
umask 0
[ ! -L "$1" ] || { echo "$1 is a symbolic link" >&2; exit 1; }
sh -c "$2" sh "$1" "$3" 9<>"$1"
"""
# Arguments: the file, open as 9; who we are. A run that has just been killed may still be ending.
# Every line of input is answered by whether the file that is locked is still the one of that name.
HOLD = rf"""
command -v flock >/dev/null || exit {NO_FLOCK}
tries=0
until flock -n 9 2>/dev/null; do
  tries=$((tries + 1))
  [ $tries -lt 10 ] || {{ cat "$1"; exit {BUSY}; }}
  sleep 0.2 2>/dev/null || sleep 1
done
printf '%s, process %s there\n' "$2" $$ >"$1"
echo held
while read -r question; do
  if [ "$1" -ef /proc/$$/fd/9 ]; then echo held; else echo lost; fi
done
"""
#: More than HOLD tries.
LEAST_WAIT_S = 15.0
#: In what HOLD writes: the process that ends the lock when it is killed.
ON_DEVICE = re.compile(r", process (\d+) there$")


class AdbLock(DeviceLock):
    """The lock, taken; it ends with its connection, which is its own where there can be another.

    Args:
        spec: how the user names the device.
        link: a connection.
        path: of the lock's file.
        holder: who we are, for others.
        shared: whether the connection is in use for other things, too: it is then left open.

    Raises:
        BusyError: another run has it, and goes on having it for two seconds.
        DeviceError: the device has no flock, or the file cannot be opened.
    """

    def __init__(
        self, spec: str, link: Link, path: PurePosixPath, holder: str, *, shared: bool = False
    ) -> None:
        self._spec = spec
        self._link = link
        self._path = path
        self._frames = Frames()
        self._output = {STDOUT: bytearray(), STDERR: bytearray()}
        self._status: int | None = None
        # The shell first tells its process group; see `command_line`.
        argv = ["sh", "-c", OPEN, "sh", str(path), HOLD, holder]
        with contextlib.ExitStack() as stack:
            if not shared:
                stack.callback(link.close)
            line = command_line(argv, link.command_limit)
            self._stream = stack.enter_context(link.open(SERVICE + line, self._deadline()))
            self._next_line()
            answer = self._next_line()
            if answer != "held":
                raise self._refusal(answer)
            self._open = stack.pop_all()

    def require(self) -> None:
        try:
            self._send(STDIN, b"\n")
            answer = self._next_line()
        except DeviceError as error:
            answer = error.what
        if answer != "held":
            raise DeviceError(
                f"the lock on {self._spec} was lost while it was in use, so that another run may "
                f"have worked there: {answer or 'its program has ended'}",
                "run again, and let nothing remove files below the pipeline's folder meanwhile",
            )

    def close(self) -> None:
        # Until the program has ended, the next run would still be refused.
        with contextlib.suppress(DeviceError):
            self._send(CLOSE_STDIN, b"")
            while self._status is None and not self._stream.ended:
                self._read(self._deadline())
        self._open.close()

    def _send(self, kind: int, data: bytes) -> None:
        frame = SHELL_HEADER.pack(kind, len(data)) + data
        deadline = self._deadline()
        while self._stream.room < len(frame) and not self._stream.ended:
            self._read(deadline)
        if not self._stream.ended:
            self._stream.write(frame)

    def _next_line(self) -> str:
        """The next line of the program's output; empty where it has ended."""
        output = self._output[STDOUT]
        deadline = self._deadline()
        while b"\n" not in output and self._status is None and not self._stream.ended:
            self._read(deadline)
        line, _, rest = bytes(output).partition(b"\n")
        output[:] = rest
        return line.decode("utf-8", "replace")

    def _read(self, deadline: float) -> None:
        for kind, data in self._frames.feed(self._stream.read(deadline)):
            if kind == EXIT:
                self._status = data[0]
            elif kind in self._output:
                self._output[kind] += data

    def _refusal(self, answer: str) -> DeviceError:
        with contextlib.suppress(DeviceTimeoutError):
            while self._status is None and not self._stream.ended:
                self._read(self._deadline())
        if self._status == BUSY:
            remedy = "wait for its end"
            if there := ON_DEVICE.search(answer):
                remedy += f"; if its host is gone for good: `adb shell kill {there[1]}`"
            return BusyError(f"{self._spec} is in use by {readable_holder(answer)}", remedy)
        if self._status == NO_FLOCK:
            return DeviceError(
                f"{self._spec} has no program flock, without which two runs could mix there",
                "Android 8 and later have it; elsewhere install util-linux, toybox or busybox",
            )
        reason = self._output[STDERR].decode("utf-8", "replace").strip()
        return DeviceError(
            f"{self._path} cannot be opened on {self._spec}: "
            f"{reason or f'exit status {self._status}'}",
            remedy_for(reason, self._path, self._spec),
        )

    def _deadline(self) -> float:
        return time.monotonic() + max(self._link.timeout_s, LEAST_WAIT_S)
