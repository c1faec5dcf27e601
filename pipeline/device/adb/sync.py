"""Sends and fetches single files through adbd's sync service (protocol 1: all Android versions).

Requests and answers are a four-letter id, a little-endian number and data of that length; see
file_sync_protocol.h in AOSP's packages/modules/adb.
"""

from __future__ import annotations

import hashlib
import stat
import struct
import time
from collections.abc import Generator, Iterable
from pathlib import PurePosixPath

from pipeline.device.adb.link import Link
from pipeline.device.adb.stream import Stream
from pipeline.device.base import Progress, TransferError
from pipeline.device.remedies import remedy_for

HEADER = struct.Struct("<4sI")
#: Bytes of one DATA block (SYNC_DATA_MAX); adbd refuses more.
BLOCK = 64 * 1024

UNSOUND = "no sound adbd answers there: update the device's system, or connect to it directly"
ENDED = "see in the device's log (`adb logcat`) why; mostly its memory or storage is full"


def send_file(
    link: Link,
    blocks: Iterable[bytes],
    target: str,
    *,
    size: int,
    mode: int,
    progress: Progress | None = None,
) -> str:
    """Writes a file on the device, which removes it again when the transfer does not end.

    Args:
        link: the connection.
        blocks: its bytes, at most `BLOCK` at a time.
        target: absolute path on the device; a file that is there is replaced.
        size: its length, for ``progress`` only.
        mode: permission bits.
        progress: told what the device has taken; an exception in it ends the transfer.

    Returns:
        The sha256 of what was sent.

    Raises:
        TransferError: the device could not write the file.
        DeviceTimeoutError, DeviceGoneError: it took nothing for the link's timeout, or is lost.
    """
    digest = hashlib.sha256()
    sent = 0
    with Stream.open(link, b"sync:", _deadline(link)) as stream:
        upload = _Upload(link, stream, target)
        upload.add(b"SEND", f"{target},{stat.S_IFREG | mode}".encode("utf-8", "surrogateescape"))
        for block in blocks:
            digest.update(block)
            if upload.add(b"DATA", block) and progress is not None:
                progress(sent, size)
            sent += len(block)
        upload.flush()
        if progress is not None:
            progress(sent, max(sent, size))
        upload.end()
    return digest.hexdigest()


class _Upload:
    """The requests of one SEND, packed into messages as large as the device takes."""

    def __init__(self, link: Link, stream: Stream, target: str) -> None:
        self._link = link
        self._stream = stream
        self._target = target
        self._packed = bytearray()
        self._answer = bytearray()

    def add(self, kind: bytes, data: bytes) -> bool:
        """Adds a request; tells whether those before it were sent, and taken by the device."""
        request = HEADER.pack(kind, len(data)) + data
        full = len(self._packed) + len(request) > self._stream.room
        if full:
            self.flush()
        self._packed += request
        return full

    def flush(self) -> None:
        """Sends what was added, and waits until the device has taken it."""
        if self._packed:
            self._stream.write(bytes(self._packed))
            self._packed.clear()
        while not self._stream.writable:
            self._read()

    def end(self) -> None:
        """Completes the file.

        Raises:
            TransferError: the device could not write it.
        """
        self._packed += HEADER.pack(b"DONE", int(time.time()) & 0xFFFFFFFF)
        self.flush()
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
    with Stream.open(link, b"sync:", _deadline(link)) as stream:
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
