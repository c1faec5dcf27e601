"""A bad connection: slow, late, with pauses such as lost packets make."""

from __future__ import annotations

import contextlib
import queue
import random
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

PACKET = 1448


@dataclass(frozen=True)
class Quality:
    """How bad it is.

    Attributes:
        bytes_s: in each direction.
        delay_s: of each packet, in each direction.
        loss: share of packets that come after a pause, and all that follow with them.
        pause_s: what TCP takes at least to notice a lost packet.
    """

    bytes_s: float
    delay_s: float = 0.0
    loss: float = 0.0
    pause_s: float = 0.2


@contextlib.contextmanager
def slow_link(port: int, quality: Quality, host: str = "127.0.0.1") -> Iterator[int]:
    """Leads to a port of this machine; yields the port of ``host`` where it begins."""
    listener = socket.socket()
    # Small, or the kernel would take at once what is to wait.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 << 10)
    listener.bind((host, 0))
    listener.listen()
    ends: list[socket.socket] = []

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.create_connection(("127.0.0.1", port))
                ends.extend((near, far))
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=_carry, args=(source, sink, quality)).start()

    server = threading.Thread(target=serve)
    server.start()
    try:
        yield listener.getsockname()[1]
    finally:
        for end in (listener, *ends):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        server.join()


def _carry(source: socket.socket, sink: socket.socket, quality: Quality) -> None:
    """Takes packets as fast as the rate allows; another thread hands them on when they are due."""
    due: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()
    chance = random.Random(1)
    threading.Thread(target=_deliver, args=(sink, due)).start()
    free = latest = time.monotonic()
    with contextlib.suppress(OSError):
        while packet := source.recv(PACKET):
            free = max(free, time.monotonic()) + len(packet) / quality.bytes_s
            pause = quality.pause_s if chance.random() < quality.loss else 0.0
            latest = max(latest, free + quality.delay_s + pause)
            due.put((latest, packet))
            if (ahead := free - time.monotonic()) > 0.005:
                time.sleep(ahead)
    due.put((0.0, b""))


def _deliver(sink: socket.socket, due: queue.SimpleQueue[tuple[float, bytes]]) -> None:
    with contextlib.suppress(OSError):
        while True:
            when, packet = due.get()
            if not packet:
                sink.shutdown(socket.SHUT_WR)
                return
            time.sleep(max(0.0, when - time.monotonic()))
            sink.sendall(packet)
