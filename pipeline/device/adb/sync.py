"""Sends single files through adbd's sync service (protocol 1: all Android versions).

Requests and answers are a four-letter id, a little-endian number and data of that length; see
file_sync_protocol.h in AOSP's packages/modules/adb.
"""

from __future__ import annotations

import itertools
import stat
import struct
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from pipeline.device.adb.link import Buffer, Link, Stream
from pipeline.device.adb.messages import SLOW_BYTES
from pipeline.device.base import TransferError, TransferProgress
from pipeline.device.file_remedies import remedy_for
from pipeline.device.files import Source

SYNC_HEADER = struct.Struct("<4sI")
#: Bytes of one DATA block (SYNC_DATA_MAX); adbd refuses more.
BLOCK = 64 * 1024
#: Bytes of a file in one message: what fits into the largest one.
LARGEST = 15 * BLOCK
#: Bytes that may be on their way: two blocks on the slowest connection; on a fast one what keeps it
#: busy (100 MB/s, answered after 40 ms) and is soon given up where the device says no.
LEAST_WINDOW, MOST_WINDOW = SLOW_BYTES, 4 << 20

UNSOUND = "no sound adbd answers there: update the device's system, or connect to it directly"
ENDED = "see in the device's log (`adb logcat`) why; mostly its memory or storage is full"


def send_file(
    link: Link,
    source: Source,
    target: str,
    *,
    size: int,
    mode: int,
    progress: TransferProgress | None = None,
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
    with link.open(b"sync:", _deadline(link)) as stream:
        upload = _Upload(link, stream, target, size, progress)
        upload.send(_request(b"SEND", name))
        # Two, so that one can be filled while the other is under way.
        memory = itertools.cycle([memoryview(bytearray(LARGEST)) for _ in range(2)])
        while count := source.read_into(view := next(memory)[: upload.block_bytes]):
            upload.send(*_data_requests(view[:count]), data=count)
        upload.end()


def _request(kind: bytes, data: bytes) -> bytes:
    return SYNC_HEADER.pack(kind, len(data)) + data


def _data_requests(view: memoryview) -> Iterator[Buffer]:
    for start in range(0, len(view), BLOCK):
        block = view[start : start + BLOCK]
        yield SYNC_HEADER.pack(b"DATA", len(block))
        yield block


@dataclass(frozen=True, slots=True)
class _Sent:
    """A message that is on its way.

    Attributes:
        end: bytes that were sent up to its end, requests included.
        data: bytes of the file up to there.
        when: `time.monotonic`.
        in_flight: bytes that were on their way then, its own included.
    """

    end: int
    data: int
    when: float
    in_flight: int


class _Upload:
    """The requests of one SEND, as many at once as suits the connection.

    That is what it takes within a second: on a slow connection, too, all is then confirmed before
    its time is up, and what is told of progress is not long past.
    """

    def __init__(
        self, link: Link, stream: Stream, target: str, size: int, progress: TransferProgress | None
    ) -> None:
        self._link = link
        self._stream = stream
        self._target = target
        self._size = size
        self._progress = progress
        self._answer = bytearray()
        self._sent = deque[_Sent]()
        self._end = self._data = self._reported = 0
        self._window = LEAST_WINDOW
        self._several = False
        room = stream.room
        whole = room // (SYNC_HEADER.size + BLOCK) * BLOCK
        self._most = min(whole, LARGEST) or room - SYNC_HEADER.size

    @property
    def block_bytes(self) -> int:
        """Bytes of the file in the next message: a share, where several may be on their way."""
        share = self._window // 4 if self._several else self._window
        return min(self._most, max(share // BLOCK * BLOCK, BLOCK))

    def send(self, *buffers: Buffer, data: int = 0) -> None:
        """Sends requests with some bytes of the file in them, once there is room for them."""
        length = sum(map(len, buffers))
        stream = self._stream
        while stream.room < length or stream.in_flight > max(0, self._window - length):
            self._read()
        self._end, self._data = self._end + length, self._data + data
        in_flight = stream.in_flight + length
        self._sent.append(_Sent(self._end, self._data, time.monotonic(), in_flight))
        stream.write(*buffers)
        self._several = self._several or stream.room > 0

    def end(self) -> None:
        """Completes the file.

        Raises:
            TransferError: the device could not write it.
        """
        self.send(SYNC_HEADER.pack(b"DONE", int(time.time()) & 0xFFFFFFFF))
        while not self._done():
            self._read()
        self._report(self._data, last=True)

    def _read(self) -> None:
        stream = self._stream
        self._answer += stream.read(_deadline(self._link) + stream.delay_s)
        if len(self._answer) > SYNC_HEADER.size + BLOCK:
            raise TransferError(f"{self._link.serial} talks too much during a file", UNSOUND)
        if stream.ended and not self._done():
            raise TransferError(f"{self._link.serial} ended the transfer of {self._target}", ENDED)
        self._done()
        taken = None
        while self._sent and self._sent[0].end <= self._end - stream.in_flight:
            taken = self._sent.popleft()
        if taken is not None:
            seconds = max(time.monotonic() - taken.when, 1e-6)
            within_a_second = int(taken.in_flight / seconds)
            self._window = min(max(within_a_second, LEAST_WINDOW), MOST_WINDOW)
            self._report(taken.data)

    def _report(self, data: int, *, last: bool = False) -> None:
        """Tells how far the transfer is, where that is news."""
        if self._progress is not None and (data > self._reported or (last and not data)):
            self._reported = data
            self._progress(data, max(data, self._size))

    def _done(self) -> bool:
        """Whether the device has confirmed the file; a failure may come at any time."""
        if len(self._answer) < SYNC_HEADER.size:
            return False
        kind, length = SYNC_HEADER.unpack_from(self._answer)
        if kind == b"OKAY":
            return True
        if kind != b"FAIL":
            raise TransferError(f"{self._link.serial} answered {kind!r} to a file", UNSOUND)
        if len(self._answer) < SYNC_HEADER.size + length:
            return False
        reason = self._answer[SYNC_HEADER.size : SYNC_HEADER.size + length].decode(
            "utf-8", "replace"
        )
        raise TransferError(
            f"{self._link.serial} could not write {self._target}: {reason}",
            # The file itself has a name for the time of the transfer only.
            remedy_for(reason, PurePosixPath(self._target).parent, f"adb:{self._link.serial}"),
        )


def _deadline(link: Link) -> float:
    return time.monotonic() + link.timeout_s
