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
from pipeline.device.adb.link import Link, Stream
from pipeline.device.base import Completed, DeviceGoneError, DeviceTimeoutError, checked_argv

STDIN, STDOUT, STDERR, EXIT, CLOSE_STDIN = range(5)
HEADER = struct.Struct("<BI")
SERVICE = b"shell,v2,raw:"

#: Bytes of standard input in one message; larger ones gain nothing.
STDIN_PIECE = 256 * 1024


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
    # Android's shell (mksh) would exec its builtins too; env has none.
    start = f"exec {words}" if "/" in program or "=" in program else f"exec env {words}"
    if reads:
        # adbd has one socket for standard input and output, and on failing to write to it forgets
        # what can still be read: a program that ends before its input does would lose output. So
        # the shell stays and takes the rest, its own remarks ("Segmentation fault") left out.
        start = (
            f"exec 3>&2 2>/dev/null; ({start} 2>&3 3>&-); status=$?; cat >/dev/null; exit $status"
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
        group: its process group on the device, once that is known.
    """

    def __init__(self, argv: Sequence[str], *, stdin: bytes, output_limit: int) -> None:
        self.group: int | None = None
        self._argv = checked_argv(argv)
        self._reads = bool(stdin)
        self._stdin = _stdin_pieces(stdin)
        self._piece = next(self._stdin, None)
        self._frames = Frames()
        self._limit = output_limit
        self._output = {STDOUT: bytearray(), STDERR: bytearray()}
        self._exit = bytearray()

    def run(self, link: Link, deadline: float) -> Completed:
        """Runs the program to its end; on an error it may be left running, see `kill_group`.

        Raises:
            DeviceTimeoutError: it did not end by ``deadline`` (`time.monotonic`).
            DeviceGoneError: the connection is lost.
            DeviceError: it wrote more than the limit.
        """
        started = time.monotonic()
        line = command_line(self._argv, link.command_limit, reads=self._reads)
        with link.open(SERVICE + line, deadline) as stream:
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
        """Sends one piece of input, if there is room for it; takes in one of output."""
        if self._piece is not None and stream.writable:
            stream.write(self._piece)
            self._piece = next(self._stdin, None)
        for kind, data in self._frames.feed(stream.read(deadline)):
            self._take(link, kind, data)
        if stream.ended and not self._exit:
            raise DeviceGoneError(
                f"{link.serial} ended {self._argv[0]} without an exit status",
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
            raise DeviceError(
                f"{self._argv[0]} wrote more than {self._limit} bytes",
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


def kill_group(link: Link, group: int, deadline: float) -> None:
    """Kills a process group on the device.

    Raises:
        DeviceTimeoutError, DeviceGoneError: the device did not do it in time.
    """
    with link.open(SERVICE + b"kill -9 -- -%d" % group, deadline) as stream:
        while not stream.ended:
            stream.read(deadline)


def _stdin_pieces(stdin: bytes) -> Iterator[bytes]:
    for start in range(0, len(stdin), STDIN_PIECE):
        data = stdin[start : start + STDIN_PIECE]
        yield HEADER.pack(STDIN, len(data)) + data
    yield HEADER.pack(CLOSE_STDIN, 0)


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
                wanted = HEADER.size - len(self._header)
                self._header += data[position : position + wanted]
                position += wanted
                if len(self._header) < HEADER.size:
                    return
                self._kind, self._missing = HEADER.unpack(self._header)
                self._header.clear()
            piece = data[position : position + self._missing]
            position += len(piece)
            self._missing -= len(piece)
            if piece:
                yield self._kind, piece
