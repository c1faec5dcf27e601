"""Sends and fetches single files through adbd's sync service (protocol 1: all Android versions).

Requests and answers are a four-letter id, a little-endian number and data of that length; see
file_sync_protocol.h in AOSP's packages/modules/adb.
"""

from __future__ import annotations

import itertools
import stat
import struct
import time
from collections.abc import Generator, Iterator
from pathlib import PurePosixPath

from pipeline.device.adb.link import Buffer, Link, Stream
from pipeline.device.base import Progress, TransferError
from pipeline.device.files import Source
from pipeline.device.remedies import remedy_for

HEADER = struct.Struct("<4sI")
#: Bytes of one DATA block (SYNC_DATA_MAX); adbd refuses more.
BLOCK = 64 * 1024
#: Bytes of a file in one message: what fits into the largest one.
LARGEST = 15 * BLOCK

UNSOUND = "no sound adbd answers there: update the device's system, or connect to it directly"
ENDED = "see in the device's log (`adb logcat`) why; mostly its memory or storage is full"


def send_file(
    link: Link,
    source: Source,
    target: str,
    *,
    size: int,
    mode: int,
    progress: Progress | None = None,
) -> None:
    """Writes a file on the device, which removes it again when the transfer does not end.

    Args:
        link: the connection.
        source: its bytes.
        target: absolute path on the device; a file that is there is replaced.
        size: its length, for ``progress`` only.
        mode: permission bits.
        progress: told what the device has taken; an exception in it ends the transfer.

    Raises:
        TransferError: the device could not write the file, or it cannot be read here.
        DeviceTimeoutError, DeviceGoneError: it took nothing for the link's timeout, or is lost.
    """
    name = f"{target},{stat.S_IFREG | mode}".encode("utf-8", "surrogateescape")
    sent = 0
    with link.open(b"sync:", _deadline(link)) as stream:
        upload = _Upload(link, stream, target)
        upload.send(_request(b"SEND", name))
        # Two, so that one can be filled while the device takes the other.
        memory = itertools.cycle([memoryview(bytearray(LARGEST)) for _ in range(2)])
        while True:
            view = next(memory)[: upload.data_bytes]
            count = source.read_into(view)
            upload.wait()
            if sent and progress is not None:
                progress(sent, max(sent, size))
            if not count:
                break
            upload.send(*_data_requests(view[:count]))
            sent += count
        if not sent and progress is not None:
            progress(0, size)
        upload.end()


def _request(kind: bytes, data: bytes) -> bytes:
    return HEADER.pack(kind, len(data)) + data


def _data_requests(view: memoryview) -> Iterator[Buffer]:
    for start in range(0, len(view), BLOCK):
        block = view[start : start + BLOCK]
        yield HEADER.pack(b"DATA", len(block))
        yield block


class _Upload:
    """The requests of one SEND, in messages of a size that suits the connection.

    Attributes:
        data_bytes: of the next message: as much as the device took within a second, so that on a
            slow connection, too, each is confirmed before its time is up.
    """

    def __init__(self, link: Link, stream: Stream, target: str) -> None:
        self._link = link
        self._stream = stream
        self._target = target
        self._answer = bytearray()
        self._most = max(1, stream.room // (HEADER.size + BLOCK)) * BLOCK
        if stream.room < HEADER.size + BLOCK:
            self._most = stream.room - HEADER.size
        self._sent = (0.0, 0)
        self.data_bytes = min(BLOCK, self._most)

    def send(self, *buffers: Buffer) -> None:
        self._sent = (time.monotonic(), sum(map(len, buffers)))
        self._stream.write(*buffers)

    def wait(self) -> None:
        """Returns when the device has taken what was sent."""
        while not self._stream.writable:
            self._read()
        when, length = self._sent
        if length > self.data_bytes // 2:
            within_a_second = int(length / max(time.monotonic() - when, 1e-6)) // BLOCK * BLOCK
            self.data_bytes = min(max(within_a_second, BLOCK, 1), LARGEST, self._most)

    def end(self) -> None:
        """Completes the file.

        Raises:
            TransferError: the device could not write it.
        """
        self.send(HEADER.pack(b"DONE", int(time.time()) & 0xFFFFFFFF))
        self.wait()
        while not self._done():
            self._read()

    def _read(self) -> None:
        self._answer += self._stream.read(_deadline(self._link))
        if len(self._answer) > HEADER.size + BLOCK:
            raise TransferError(f"{self._link.serial} talks too much during a file", UNSOUND)
        if self._stream.ended and not self._done():
            raise TransferError(f"{self._link.serial} ended the transfer of {self._target}", ENDED)
        self._done()

    def _done(self) -> bool:
        """Whether the device has confirmed the file; a failure may come at any time."""
        if len(self._answer) < HEADER.size:
            return False
        kind, length = HEADER.unpack_from(self._answer)
        if kind == b"OKAY":
            return True
        if kind != b"FAIL":
            raise TransferError(f"{self._link.serial} answered {kind!r} to a file", UNSOUND)
        if len(self._answer) < HEADER.size + length:
            return False
        reason = self._answer[HEADER.size : HEADER.size + length].decode("utf-8", "replace")
        raise TransferError(
            f"{self._link.serial} could not write {self._target}: {reason}",
            # The file itself has a name for the time of the transfer only.
            remedy_for(reason, PurePosixPath(self._target).parent, f"adb:{self._link.serial}"),
        )


def fetch_file(link: Link, source: str) -> Generator[bytes, None, None]:
    """Yields the bytes of a file on the device; to be closed when it is not read to the end.

    Raises:
        TransferError: the device could not read the file, or sent something else.
        DeviceTimeoutError, DeviceGoneError: nothing came for the link's timeout, or it is lost.
    """
    path = source.encode("utf-8", "surrogateescape")
    with link.open(b"sync:", _deadline(link)) as stream:
        stream.write(HEADER.pack(b"RECV", len(path)) + path)
        answer = _Answer(link, stream)
        while True:
            kind, length = HEADER.unpack(answer.take(HEADER.size))
            if kind == b"DONE":
                return
            if not 0 < length <= BLOCK or kind not in (b"DATA", b"FAIL"):
                raise TransferError(f"{link.serial} answered {kind!r} to {source}", UNSOUND)
            data = answer.take(length)
            if kind == b"FAIL":
                reason = data.decode("utf-8", "replace")
                raise TransferError(
                    f"{link.serial} could not read {source}: {reason}",
                    remedy_for(reason, PurePosixPath(source), f"adb:{link.serial}"),
                )
            yield data


class _Answer:
    """The bytes of a stream, in pieces of the length that is asked for."""

    def __init__(self, link: Link, stream: Stream) -> None:
        self._link = link
        self._stream = stream
        self._buffer = b""
        self._position = 0

    def take(self, length: int) -> bytes:
        while len(self._buffer) - self._position < length:
            more = self._stream.read(_deadline(self._link))
            if self._stream.ended:
                raise TransferError(f"{self._link.serial} ended the transfer", ENDED)
            self._buffer = self._buffer[self._position :] + more
            self._position = 0
        self._position += length
        return self._buffer[self._position - length : self._position]


def _deadline(link: Link) -> float:
    return time.monotonic() + link.timeout_s
