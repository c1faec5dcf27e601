"""Which way to a device: through the adb server, or by a connection of our own."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.core.errors import DeviceError, PipelineError
from pipeline.device.adb.address import ServerAddress
from pipeline.device.adb.direct import DirectLink
from pipeline.device.adb.link import Link
from pipeline.device.adb.listing import READY, by_spec, choose_device
from pipeline.device.adb.server import Server
from pipeline.device.adb.server_link import ServerLink
from pipeline.device.adb.transport import TcpTransport, Transport
from pipeline.device.base import DeviceGoneError, DeviceTimeoutError

if TYPE_CHECKING:
    from pipeline.device.adb.usb import UsbTransport

Dial = Callable[[], Link]
#: Seconds between two attempts on a device that comes back.
AGAIN_S = 0.2
REPLUG = (
    "unplug it and plug it in again: a program that was killed while it sent something leaves it "
    "waiting for the rest; if that does not help, restart it"
)


@dataclass(frozen=True, slots=True)
class Dialer:
    """How to connect, whichever device it is; what its methods return opens one connection a call.

    Attributes:
        timeout_s: seconds that a device may stay silent where it owes an answer.
        consent_s: seconds that its owner has to allow a key.
        keys: private keys to offer before the usual ones.
    """

    timeout_s: float
    consent_s: float
    keys: tuple[Path, ...]

    def only_serial(self) -> str:
        """The name of the adb server's device, of which there is one.

        Raises:
            UsageError: there are several, or the server's address is set to something else.
            DeviceError: there is none, or no server.
        """
        server = self._server()
        server.ensure_running()
        return choose_device(server.devices(), None, server.address).serial

    def every_device(self) -> dict[str, PipelineError | None]:
        """All devices of the adb server, with why one cannot be used; see `by_spec`.

        Raises:
            UsageError: the server's address is set to something else.
            DeviceError: there is none, or no server.
        """
        server = self._server()
        server.ensure_running()
        return by_spec(server.devices(), server.address)

    def to_serial(self, serial: str) -> Dial:
        """To the device of that name of the adb server.

        Raises:
            UsageError: the server's address is set to something else.
        """
        server = self._server()
        return lambda: ServerLink.dial(server, serial, consent_s=self.consent_s)

    def to_address(self, name: str, host: str, port: int) -> Dial:
        """To a device of the adb server where it has one of that name ready, else to the address.

        Raises:
            UsageError: the server's address is set to something else.
        """
        server = self._server()
        try:
            listed = server.find(name)
        except DeviceError:
            listed = None
        if listed is not None and listed.state == READY:
            return self.to_serial(name)
        return lambda: self._direct(TcpTransport(host, port))

    def to_usb(self, serial: str | None) -> Dial:
        """To a USB device that no adb server holds: the one of that number, or the only one."""
        from pipeline.device.adb.usb import UsbTransport

        return lambda: self._over_usb(UsbTransport(serial))

    def _over_usb(self, transport: UsbTransport) -> DirectLink:
        """Connects, again where the device leaves the bus for a moment when it is greeted."""
        try:
            return self._direct(transport)
        except DeviceTimeoutError as error:
            raise DeviceTimeoutError(error.what, REPLUG) from None
        except DeviceGoneError:
            deadline = time.monotonic() + self.timeout_s
        while True:
            try:
                return self._direct(transport)
            except DeviceError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(AGAIN_S)

    def _server(self) -> Server:
        return Server(ServerAddress.from_environment(), self.timeout_s)

    def _direct(self, transport: Transport) -> DirectLink:
        return DirectLink.dial(
            transport, timeout_s=self.timeout_s, consent_s=self.consent_s, keys=self.keys
        )
