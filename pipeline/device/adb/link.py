"""What carries services of adbd, whichever way the device is reached."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from typing import TypeAlias

Buffer: TypeAlias = bytes | bytearray | memoryview

RECONNECT = "check the cable or the network, and that the device is awake; then start again"


class Stream(AbstractContextManager["Stream"]):
    """Bytes to and from one service of adbd, such as ``sync:``.

    Attributes:
        writable: whether what the last `write` was given has been taken.
        ended: whether the device has closed the stream; nothing comes after that.
        room: bytes that one `write` takes.
    """

    writable: bool
    ended: bool
    room: int

    @abstractmethod
    def write(self, *buffers: Buffer) -> None:
        """Sends bytes; `writable` is false, and they must not change, until they are taken.

        Raises:
            DeviceGoneError: the connection is lost.
        """

    @abstractmethod
    def read(self, deadline: float) -> bytes:
        """Waits for bytes of the device, for the last ones sent to be taken, or for the end.

        Args:
            deadline: `time.monotonic` after which it waits no longer.

        Returns:
            The bytes that came; none where `writable` or `ended` has become true.

        Raises:
            DeviceTimeoutError: nothing came; the stream is still usable.
            DeviceGoneError: the connection is lost, or the device no longer answers at all.
        """

    @abstractmethod
    def close(self) -> None:
        """Tells the device that nobody listens any more; it ends the service."""

    def __exit__(self, *error: object) -> None:
        self.close()


class Link(ABC):
    """A device that has accepted this host.

    Attributes:
        serial: how the device is called, without ``adb:``.
        route: how it is reached: ``adb server``, ``TCP``, ``TLS`` or ``USB``.
        timeout_s: seconds that it may stay silent where it owes an answer.
        command_limit: bytes of a shell command line that it takes.
    """

    serial: str
    route: str
    timeout_s: float
    command_limit: int

    @property
    @abstractmethod
    def interrupted(self) -> bool:
        """Whether this side, not the device, left it unusable; a new one is then to be dialed."""

    @abstractmethod
    def open(self, service: bytes, deadline: float) -> Stream:
        """Starts a service.

        Raises:
            DeviceError: the device refuses it (seen at once).
            DeviceTimeoutError: no answer by the deadline.
            DeviceGoneError: the connection is lost, or the device no longer answers at all.
        """

    @abstractmethod
    def close(self) -> None: ...
