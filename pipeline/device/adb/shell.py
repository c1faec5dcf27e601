"""Runs programs through adbd's shell protocol 2: separate streams, exit status, kill.

The protocol is five bytes of header (id, little-endian length) before each piece of data; see
shell_protocol.h in AOSP's packages/modules/adb.
"""

from __future__ import annotations

import contextlib
import shlex
import struct
import time
from collections.abc import Iterator, Sequence

from pipeline.core.errors import DeviceError
from pipeline.device.adb.link import Buffer, Link, Stream
from pipeline.device.base import (
    Completed,
    DeviceGoneError,
    DeviceTimeoutError,
    OutputLimitError,
    checked_argv,
)

STDIN, STDOUT, STDERR, EXIT, CLOSE_STDIN = range(5)
SHELL_HEADER = struct.Struct("<BI")
SERVICE = b"shell,v2,raw:"

#: Bytes of standard input in one message; larger ones gain nothing.
STDIN_PIECE = 128 * 1024
#: Bytes of it that may be on their way while output is waited for.
STDIN_AHEAD = 1 << 20
#: Bytes that every device takes in one message; smaller ones are not worth sending.
LEAST_ROOM = 4096


def command_line(argv: Sequence[str], limit: int, *, reads: bool = False) -> bytes:
    """The shell command that runs ``argv`` literally, after it has told its process group.

    adbd starts the shell as the leader of a new session: the number that is printed first is also
    that of the process group, which a kill must aim at. `exec` puts the program in its place.

    Args:
        argv: program and arguments; see `checked_argv`.
        limit: bytes that it may have; see `Link.command_limit`.
        reads: whether standard input will be sent.

    Raises:
        DeviceError: it is longer than that.
    """
    program, *arguments = argv
    words = " ".join(shlex.quote(word) for word in (program, *arguments))
    start = f"exec {words}"
    if "/" not in program and "=" not in program:
        # Android's shell (mksh) would exec its builtins too; env, where there is one, has none.
        start = f'set -- {words}; command -v env >/dev/null && exec env "$@"; exec "$@"'
    if reads:
        # adbd has one socket for standard input and output, and on failing to write to it forgets
        # what can still be read: a program that ends before its input does would lose output. So
        # the shell stays and takes the rest, its own remarks ("Segmentation fault") left out.
        start = (
            f"exec 3>&2 2>/dev/null; (exec 2>&3 3>&-; {start}); "
            "status=$?; cat >/dev/null; exit $status"
        )
    line = f"echo $$; {start}".encode("utf-8", "surrogateescape")
    if len(line) > limit:
        raise DeviceError(
            f"the command line of {program} is {len(line)} bytes long; "
            f"ADB takes no more than {limit}",
            "pass the data through standard input or in a file",
        )
    return line


class ShellCommand:
    """One run of a program.

    Attributes:
        label: what errors call it.
        group: its process group on the device, once that is known.
    """

    def __init__(
        self, argv: Sequence[str], *, stdin: bytes, output_limit: int, label: str = ""
    ) -> None:
        self._argv = checked_argv(argv)
        self.label = label or self._argv[0]
        self.group: int | None = None
        self._reads = bool(stdin)
        self._stdin = _Stdin(stdin)
        self._frames = Frames()
        self._limit = output_limit
        self._output = {STDOUT: bytearray(), STDERR: bytearray()}
        self._exit = bytearray()

    def run(self, link: Link, deadline: float) -> Completed:
        """Runs the program to its end; on an error it may be left running, see `kill_remote_group`.

        Raises:
            DeviceTimeoutError: it did not end by ``deadline`` (`time.monotonic`).
            DeviceGoneError: the connection is lost.
            OutputLimitError: it wrote more than the limit.
        """
        started = time.monotonic()
        line = command_line(self._argv, link.command_limit, reads=self._reads)
        # What was asked for may start late, and run on: it is waited for, so that it can be killed.
        patience = max(deadline, started + link.timeout_s)
        with link.open(SERVICE + line, patience) as stream:
            try:
                while not self._exit:
                    self._converse(link, stream, deadline)
            except (DeviceTimeoutError, KeyboardInterrupt):
                # What has no number cannot be killed: it may yet come.
                late = time.monotonic() + link.timeout_s
                with contextlib.suppress(DeviceError):
                    while self.group is None:
                        self._converse(link, stream, late)
                raise
        return Completed(
            argv=self._argv,
            returncode=self._exit[0],
            stdout=bytes(self._output[STDOUT]),
            stderr=bytes(self._output[STDERR]),
            seconds=time.monotonic() - started,
        )

    def _converse(self, link: Link, stream: Stream, deadline: float) -> None:
        """Sends input, as far as there is room for it; takes in one piece of output."""
        while self._stdin.pending and stream.room >= LEAST_ROOM and stream.in_flight < STDIN_AHEAD:
            stream.write(*self._stdin.next_piece(stream.room))
        for kind, data in self._frames.feed(stream.read(deadline)):
            self._take(link, kind, data)
        if stream.ended and not self._exit:
            raise DeviceGoneError(
                f"{link.serial} ended {self.label} without an exit status",
                "the device is shutting down or out of memory: check it, then start again",
            )

    def _take(self, link: Link, kind: int, data: bytes) -> None:
        if kind == EXIT:
            self._exit += data
            return
        if kind not in self._output:
            return
        self._output[kind] += data
        if kind == STDOUT and self.group is None:
            self._take_group(link, self._output[STDOUT])
        if sum(map(len, self._output.values())) > self._limit:
            raise OutputLimitError(
                f"{self.label} wrote more than {self._limit} bytes",
                "let it write to a file on the device, and pull that",
            )

    def _take_group(self, link: Link, stdout: bytearray) -> None:
        line, end, _ = stdout.partition(b"\n")
        if not end:
            return
        if not line.isdigit():
            raise DeviceError(
                f"the shell of {link.serial} answered {bytes(line[:80])!r} instead of a number",
                "look at what `adb shell` prints on that device before the first command",
            )
        self.group = int(line)
        del stdout[: len(line) + 1]


def kill_remote_group(link: Link, group: int, deadline: float) -> None:
    """Kills a process group on the device.

    Raises:
        DeviceTimeoutError, DeviceGoneError: the device did not do it in time.
    """
    with link.open(SERVICE + b"kill -9 -- -%d" % group, deadline) as stream:
        while not stream.ended:
            stream.read(deadline)


class _Stdin:
    """What a program will read, in pieces for which there is room; then its end.

    Attributes:
        pending: whether anything, the end included, is still to be sent.
    """

    def __init__(self, data: bytes) -> None:
        self.pending = True
        self._rest = memoryview(data)

    def next_piece(self, room: int) -> tuple[Buffer, ...]:
        if not self._rest:
            self.pending = False
            return (SHELL_HEADER.pack(CLOSE_STDIN, 0),)
        length = min(room - SHELL_HEADER.size, STDIN_PIECE)
        piece, self._rest = self._rest[:length], self._rest[length:]
        return SHELL_HEADER.pack(STDIN, len(piece)), piece


class Frames:
    """Takes the protocol's framing off; passes data on as it comes, in whatever pieces."""

    def __init__(self) -> None:
        self._header = bytearray()
        self._kind = 0
        self._missing = 0

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        position = 0
        while position < len(data):
            if self._missing == 0:
                wanted = SHELL_HEADER.size - len(self._header)
                self._header += data[position : position + wanted]
                position += wanted
                if len(self._header) < SHELL_HEADER.size:
                    return
                self._kind, self._missing = SHELL_HEADER.unpack(self._header)
                self._header.clear()
            piece = data[position : position + self._missing]
            position += len(piece)
            self._missing -= len(piece)
            if piece:
                yield self._kind, piece
