"""A push for which the sender does hardly anything, and the CPU time of both sides of any push.

For benchmarks/adb.py: what would it help to copy less, and whose work is a push?
"""

from __future__ import annotations

import os
import resource
import time
from dataclasses import dataclass
from pathlib import Path

from pipeline.device.adb import sync
from pipeline.device.adb.device import AdbDevice
from pipeline.device.adb.direct import DirectStream
from pipeline.device.adb.link import Buffer
from pipeline.device.adb.messages import MESSAGE_HEADER
from pipeline.device.adb.transport import TcpTransport
from pipeline.device.base import Device

#: Seconds that a push may take.
_LIMIT_S = 120.0


class PreparedPush:
    """Sends a file whose messages were all written to another file before.

    It is what `push` sends, with as much on its way, but the kernel hands the pages of the file to
    adbd (sendfile): nothing is copied on our side, and no message is made.

    Args:
        device: reached directly, over TCP.
        file: what is sent.
        target: where it is written to.
        stream: the file for the messages.
    """

    def __init__(self, device: Device, file: Path, target: str, stream: Path) -> None:
        assert isinstance(device, AdbDevice)
        self._device, self._file, self._target, self._path = device, file, target, stream
        self._stream: DirectStream | None = None
        self._lengths: list[int] = []  # of the data of each message

    def prepare(self) -> None:
        """Opens the service, whose number is in each message, and writes them; not measured."""
        link = self._device._link()
        stream = link.open(b"sync:", time.monotonic() + _LIMIT_S)
        assert isinstance(stream, DirectStream)

        def message(*buffers: Buffer) -> None:
            number = int.from_bytes(b"WRTE", "little")
            length = sum(map(len, buffers))
            numbers = (number, stream._number, stream._peer, length, 0, number ^ 0xFFFFFFFF)
            sink.writelines((MESSAGE_HEADER.pack(*numbers), *buffers))
            self._lengths.append(length)

        name = f"{self._target},{0o100644}".encode()
        self._lengths.clear()
        with self._path.open("wb") as sink, self._file.open("rb") as source:
            message(sync.SYNC_HEADER.pack(b"SEND", len(name)), name)
            while data := source.read(sync.LARGEST):
                message(*sync._data_requests(memoryview(data)))
            message(sync.SYNC_HEADER.pack(b"DONE", int(time.time())))
        self._stream = stream

    def __call__(self) -> None:
        """Sends all, and waits until adbd has written the file."""
        stream, self._stream = self._stream, None
        assert stream is not None
        transport = stream._link._transport
        assert isinstance(transport, TcpTransport)
        connection = transport._socket
        assert connection is not None
        answer = b""
        with self._path.open("rb") as source:
            for length in self._lengths:
                while stream.in_flight and stream.in_flight + length > sync.MOST_WINDOW:
                    answer += stream.read(time.monotonic() + _LIMIT_S)
                connection.setblocking(True)
                missing = MESSAGE_HEADER.size + length
                while missing:
                    missing -= os.sendfile(connection.fileno(), source.fileno(), None, missing)
                stream.in_flight += length
        while len(answer) < sync.SYNC_HEADER.size:
            answer += stream.read(time.monotonic() + _LIMIT_S)
        assert answer.startswith(b"OKAY"), answer
        stream.close()


@dataclass(frozen=True, slots=True)
class CpuTimes:
    """Seconds of CPU time so far, user's and system's.

    Attributes:
        host: of this process, of the programs that it has run, and of the adb server.
        adbd: of the daemon.
    """

    host: float
    adbd: float

    @classmethod
    def read(cls, adbd: int, server: int | None) -> CpuTimes:
        host = 0.0 if server is None else _of_process(server)
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
            usage = resource.getrusage(who)
            host += usage.ru_utime + usage.ru_stime
        return cls(host, _of_process(adbd))

    def since(self, before: CpuTimes) -> CpuTimes:
        return CpuTimes(self.host - before.host, self.adbd - before.adbd)


def _of_process(number: int) -> float:
    """In steps of 10 ms, with threads that have ended; see proc_pid_stat(5)."""
    fields = Path(f"/proc/{number}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def adb_server(port: int) -> int | None:
    """The process of the adb server at a port of this machine."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"fork-server" in words and f"tcp:{port}".encode() in words:
            return int(process.name)
    return None
