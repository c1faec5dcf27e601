"""One service of adbd, such as ``sync:``, as a pair of byte streams."""

from __future__ import annotations

import contextlib
from contextlib import AbstractContextManager
from typing import Self

from adb_shell.constants import CLSE, OKAY, OPEN, WRTE

from pipeline.core.errors import DeviceError
from pipeline.device.adb.link import Link


class Stream(AbstractContextManager["Stream"]):
    """Bytes to and from a service. ADB allows one unconfirmed message in each direction.

    A link carries one open stream at a time: what still arrives for an earlier one is dropped.

    Attributes:
        writable: whether the device has confirmed the last `write`.
        ended: whether the device has closed the stream; nothing comes after that.
    """

    def __init__(self, link: Link, number: int, peer: int) -> None:
        self.writable = True
        self.ended = False
        self._link = link
        self._number = number
        self._peer = peer

    @classmethod
    def open(cls, link: Link, service: bytes, deadline: float) -> Self:
        """Starts a service.

        Raises:
            DeviceError: the device refuses it (seen at once).
            DeviceTimeoutError, DeviceGoneError: no answer.
        """
        number = link.new_stream_number()
        link.send(OPEN, number, 0, service + b"\0")
        while True:
            message = link.receive(deadline)
            if message.receiver != number:
                continue
            if message.command == OKAY:
                return cls(link, number, message.sender)
            if message.command == CLSE:
                name = service.partition(b":")[0].decode("utf-8", "replace")
                raise DeviceError(
                    f"{link.serial} refuses the service {name}",
                    "its adbd does not have it, or does not allow it to this user",
                )

    @property
    def room(self) -> int:
        """Bytes that one `write` takes."""
        return self._link.max_payload

    def write(self, data: bytes) -> None:
        """Sends bytes; `writable` is false until the device has confirmed them."""
        assert self.writable
        self.writable = False
        self._link.send(WRTE, self._number, self._peer, data)

    def read(self, deadline: float) -> bytes:
        """Waits for the device's next message on this stream.

        Returns:
            The bytes that came, or none where it was a confirmation or the end: then `writable` or
            `ended` is true.

        Raises:
            DeviceTimeoutError: nothing came; the stream is still usable.
            DeviceGoneError: the connection is lost.
        """
        while True:
            message = self._link.receive(deadline)
            if message.receiver != self._number:
                continue
            if message.command == WRTE:
                self._link.send(OKAY, self._number, self._peer)
                return message.data
            if message.command == OKAY:
                self.writable = True
                return b""
            if message.command == CLSE:
                self.ended = True
                return b""

    def close(self) -> None:
        """Tells the device that nobody listens any more; it ends the service."""
        if not self.ended:
            self.ended = True
            with contextlib.suppress(DeviceError):  # a link that is gone has no streams either
                self._link.send(CLSE, self._number, self._peer)

    def __exit__(self, *error: object) -> None:
        self.close()
