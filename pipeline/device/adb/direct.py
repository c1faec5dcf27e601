"""A connection of our own to adbd: streams as messages, and when the device counts as lost."""

from __future__ import annotations

import contextlib
import struct
import time
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

from pipeline.core.errors import DeviceError
from pipeline.device.adb.banner import Banner
from pipeline.device.adb.handshake import DELAYED_ACK, Handshake
from pipeline.device.adb.link import RECONNECT, Buffer, Link, Stream
from pipeline.device.adb.messages import (
    SLOW_BYTES,
    SLOWEST_LINK_BYTES_S,
    Message,
    Messages,
    NotAdbError,
)
from pipeline.device.adb.transport import Transport
from pipeline.device.base import DeviceGoneError, DeviceTimeoutError

#: adbd hands the whole line to `sh -c` as one argument, which Linux limits (MAX_ARG_STRLEN).
COMMAND_LIMIT = 128 * 1024 - 1
BYTES_TAKEN = struct.Struct("<i")
#: Bytes of one stream that may be on their way to us.
WINDOW = 1 << 20
#: A service that no adbd has: it refuses it at once, where it still runs.
NO_SERVICE = b"pwl-is-there:"
#: Seconds for the last words of a device that takes one connection at a time.
CLOSING_S = 1.0
#: Of the link's timeout: silence after which the device is asked whether it is still there.
SILENCE = 0.4


class DirectLink(Link):
    """An accepted ADB connection, and nothing between its messages.

    A message is sent or received whole, or the link is unusable from then on: what follows would be
    read in the wrong place. `interrupted` tells such a link, where this side stopped in the middle
    (Ctrl-C), from one that the device left.

    A device that says nothing is asked for a service that it has to refuse; where it does not
    even do that within `timeout_s`, it is lost, however long a command may still take.

    Attributes:
        banner: what the device says of itself, with the features that both sides have.
        max_payload: bytes that one message to the device may carry.
    """

    def __init__(self, transport: Transport, timeout_s: float) -> None:
        self.serial = transport.name
        self.route = transport.route
        self.timeout_s = timeout_s
        self.command_limit = COMMAND_LIMIT
        self.alone = transport.alone
        self.banner = Banner("", {}, frozenset())
        self.max_payload = 0
        self._transport = transport
        self._messages = Messages(transport)
        self._intact = False
        self._lost = ""
        self._last_stream = 0
        # What came for a stream while another one was being read, by the stream's number.
        self._kept: dict[int, deque[Message]] = {}

    @classmethod
    def dial(
        cls, transport: Transport, *, timeout_s: float, consent_s: float, keys: Sequence[Path] = ()
    ) -> Self:
        """Connects, with this host's keys where the device asks for one.

        Args:
            transport: leads to the device; closed with the link.
            timeout_s: seconds that the device may take for an answer, now and later.
            consent_s: seconds that its owner has to allow a key that the device does not know.
            keys: private keys to offer before the usual ones.

        Raises:
            DeviceError: not reachable, not ADB, not authorized, or too old.
        """
        link = cls(transport, timeout_s)
        try:
            handshake = Handshake(transport, link._messages, timeout_s, consent_s, keys)
            link.banner, link.max_payload = handshake.perform()
        except BaseException:
            link.close()
            raise
        link.serial, link.route = transport.name, transport.route
        link._intact = True
        return link

    @property
    def interrupted(self) -> bool:
        return not self._intact and not self._lost

    def open(self, service: bytes, deadline: float) -> Stream:
        number = self._new_number()
        self.send(b"OPEN", number, self._window, service + b"\0")
        while (message := self.receive_for(number, deadline)).command != b"OKAY":
            if message.command == b"CLSE":
                raise service_refused(self.serial, service)
        self._kept[number] = deque()
        credit = bytes_taken(message) if self._window else None
        return DirectStream(self, number, message.arg0, credit)

    def send(self, command: bytes, stream: int, peer: int, *buffers: Buffer) -> None:
        """Sends one message.

        Raises:
            DeviceGoneError: the connection is lost.
        """
        with self._whole_message():
            self._messages.send(command, stream, peer, *buffers)

    def receive_for(self, number: int, deadline: float, delay_s: float = 0.0) -> Message:
        """Waits for the next message of a stream; what comes for others meanwhile is kept for them.

        Raises:
            DeviceTimeoutError, DeviceGoneError: as for `receive`.
        """
        if kept := self._kept.get(number):
            return kept.popleft()
        while (message := self.receive(deadline, delay_s)).arg1 != number:
            if message.arg1 in self._kept:
                self._kept[message.arg1].append(message)
        return message

    def forget(self, number: int) -> None:
        """Drops what still comes for a stream: nobody reads it any more."""
        self._kept.pop(number, None)

    def receive(self, deadline: float, delay_s: float = 0.0) -> Message:
        """Waits for the next message.

        Args:
            deadline: `time.monotonic` by which it must have begun.
            delay_s: that an answer may take longer, since bytes are on a slow way before it.

        Raises:
            DeviceTimeoutError: none began; the link is still usable.
            DeviceGoneError: the connection is lost, or adbd does not answer.
        """
        asked: int | None = None
        patience = time.monotonic() + SILENCE * self.timeout_s
        while True:
            if self._intact and not self._arrives(min(deadline, patience)):
                if time.monotonic() >= deadline:
                    raise DeviceTimeoutError(f"{self.serial} did not answer in time", RECONNECT)
                if asked is not None:
                    raise self._gone(TimeoutError("its adbd no longer answers"))
                asked = self._new_number()
                self.send(b"OPEN", asked, self._window, NO_SERVICE + b"\0")
                patience = time.monotonic() + self.timeout_s + delay_s
                continue
            with self._whole_message():
                message = self._messages.receive()
            if message.arg1 != asked:
                return message
            asked = None
            patience = time.monotonic() + SILENCE * self.timeout_s

    def close(self) -> None:
        if self.alone:
            # What it still says would be in the way of the next connection: its answer comes last.
            with contextlib.suppress(DeviceError):
                self.open(NO_SERVICE, time.monotonic() + min(self.timeout_s, CLOSING_S))
        self._lose("closed by this side")

    @property
    def _window(self) -> int:
        """What a stream is opened with."""
        return WINDOW if DELAYED_ACK in self.banner.features else 0

    def _new_number(self) -> int:
        self._last_stream += 1
        return self._last_stream

    def _arrives(self, deadline: float) -> bool:
        """Whether a message begins by then; a device that sends all the time is late, too."""
        self._transport.deadline = deadline
        try:
            return time.monotonic() < deadline and self._transport.wait()
        except OSError as error:
            raise self._gone(error) from error

    @contextlib.contextmanager
    def _whole_message(self) -> Iterator[None]:
        if not self._intact:
            reason = self._lost or "interrupted in the middle of a message"
            raise DeviceGoneError(f"the connection to {self.serial} is gone: {reason}", RECONNECT)
        self._transport.deadline = time.monotonic() + self.timeout_s
        self._intact = False
        try:
            yield
        except (NotAdbError, OSError) as error:
            raise self._gone(error) from error
        self._intact = True

    def _gone(self, error: Exception) -> DeviceGoneError:
        self._lose(str(error))
        return DeviceGoneError(f"the connection to {self.serial} is lost: {error}", RECONNECT)

    def _lose(self, reason: str) -> None:
        self._intact = False
        self._lost = self._lost or reason
        self._transport.close()


class DirectStream(Stream):
    """See `Stream`. Without delayed confirmations, one message may be on its way.

    Several may be open at a time, for one thread; what still arrives for a closed one is dropped.

    Args:
        link: to which it belongs.
        number: what this side calls it.
        peer: what the device calls it.
        credit: bytes that may be on their way; None where each message is confirmed by itself.
    """

    def __init__(self, link: DirectLink, number: int, peer: int, credit: int | None) -> None:
        self.ended = False
        self.in_flight = 0
        self._link = link
        self._number = number
        self._peer = peer
        self._credit = credit

    @property
    def room(self) -> int:
        most = self._link.max_payload
        if self._credit is None:
            return 0 if self.in_flight else most
        return max(0, min(self._credit - self.in_flight, most))

    @property
    def delay_s(self) -> float:
        # More than that is on its way only where a second sufficed for it before.
        return min(self.in_flight, SLOW_BYTES) / SLOWEST_LINK_BYTES_S

    def write(self, *buffers: Buffer) -> None:
        length = sum(map(len, buffers))
        assert length <= self.room
        self.in_flight += length
        self._link.send(b"WRTE", self._number, self._peer, *buffers)

    def read(self, deadline: float) -> bytes:
        while True:
            message = self._link.receive_for(self._number, deadline, self.delay_s)
            if message.command == b"WRTE":
                delayed = self._credit is not None
                taken = (BYTES_TAKEN.pack(len(message.data)),) if delayed else ()
                self._link.send(b"OKAY", self._number, self._peer, *taken)
                return message.data
            if message.command == b"OKAY":
                self.in_flight -= self._taken(message)
                return b""
            if message.command == b"CLSE":
                self.ended = True
                self._link.forget(self._number)
                return b""

    def _taken(self, message: Message) -> int:
        """Bytes that a confirmation is for."""
        if self._credit is None:
            return self.in_flight
        return min(bytes_taken(message), self.in_flight)

    def close(self) -> None:
        if not self.ended:
            self.ended = True
            self._link.forget(self._number)
            with contextlib.suppress(DeviceError):  # a link that is gone has no streams either
                self._link.send(b"CLSE", self._number, self._peer)


def bytes_taken(message: Message) -> int:
    """What a delayed confirmation says; nothing where it says what cannot be."""
    if len(message.data) != BYTES_TAKEN.size:
        return 0
    count: int = BYTES_TAKEN.unpack(message.data)[0]
    return max(0, count)


def service_refused(serial: str, service: bytes) -> DeviceError:
    """The error where a device does not start a service."""
    name = service.partition(b":")[0].decode("utf-8", "replace")
    return DeviceError(
        f"{serial} refuses the service {name}",
        "its adbd does not have it, or does not allow it to this user",
    )
