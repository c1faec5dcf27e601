"""What carries services of adbd, whichever way the device is reached."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from typing import TypeAlias

Buffer: TypeAlias = bytes | bytearray | memoryview

RECONNECT = "check the cable or the network, and that the device is awake; then start again"
RESTART = "unplug it and plug it in again, or restart it; then start again"


class Stream(AbstractContextManager["Stream"]):
    """Bytes to and from one service of adbd, such as ``sync:``.

    Attributes:
        ended: whether the device has closed the stream; nothing comes after that.
        in_flight: bytes that were written, and not yet taken as far as this side knows.
    """

    ended: bool
    in_flight: int

    @property
    @abstractmethod
    def room(self) -> int:
        """Bytes that the next `write` takes; where there are none, a `read` comes first."""

    @property
    @abstractmethod
    def delay_s(self) -> float:
        """Seconds that an answer may take longer, since bytes may still be on a slow way."""

    @abstractmethod
    def write(self, *buffers: Buffer) -> None:
        """Sends bytes, which must not change until the next `write`.

        Args:
            buffers: of no more bytes together than there is `room` for.

        Raises:
            DeviceGoneError: the connection is lost.
        """

    @abstractmethod
    def read(self, deadline: float) -> bytes:
        """Waits for bytes of the device, for some that were sent to be taken, or for the end.

        Args:
            deadline: `time.monotonic` after which it waits no longer.

        Returns:
            The bytes that came; none where others were taken or the stream has ended.

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
        alone: whether the device takes no other connection beside this one, as over USB.
    """

    serial: str
    route: str
    timeout_s: float
    command_limit: int
    alone: bool = False

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
