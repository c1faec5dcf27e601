"""ADB messages over one connection: the handshake, and when the device counts as lost."""

from __future__ import annotations

import contextlib
import logging
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from adb_shell import constants, exceptions
from adb_shell.adb_device import AdbDevice as AdbShellDevice
from adb_shell.adb_device import _AdbIOManager
from adb_shell.adb_message import AdbMessage
from adb_shell.hidden_helpers import _AdbTransactionInfo

from pipeline.core.errors import DeviceError
from pipeline.device.adb import auth
from pipeline.device.adb.banner import Banner
from pipeline.device.adb.transport import TcpTransport
from pipeline.device.base import DeviceGoneError, DeviceTimeoutError

logger = logging.getLogger(__name__)

#: What adb-shell raises for bytes that are no ADB messages; it has no root of its own.
NOT_ADB = (
    exceptions.InvalidCommandError,
    exceptions.InvalidChecksumError,
    exceptions.InvalidResponseError,
    ValueError,
    OverflowError,  # a token that is too long to be signed
    struct.error,
)
TOO_LATE = (exceptions.TcpTimeoutException, exceptions.AdbTimeoutError)

RECONNECT = "check the cable or the network, and that the device is awake; then start again"


@dataclass(frozen=True, slots=True)
class Message:
    """One ADB message from the device.

    Attributes:
        command: ``OKAY``, ``WRTE``, ``CLSE``...
        sender: the device's number of the stream.
        receiver: this side's number of the stream.
        data: its payload.
    """

    command: bytes
    sender: int
    receiver: int
    data: bytes


class _KeepsBanner(_AdbIOManager):  # type: ignore[misc]  # adb-shell has no types
    """adb-shell's message layer, which reads the device's banner and throws it away."""

    banner = b""

    def _read_packet_from_device(self, adb_info: object) -> tuple[bytes, int, int, bytes]:
        packet: tuple[bytes, int, int, bytes] = super()._read_packet_from_device(adb_info)
        if packet[0] == constants.CNXN:
            self.banner = packet[3]
        return packet


class Link:
    """An accepted ADB connection, and nothing between its messages.

    A message is sent or received whole, or the link is unusable from then on: what follows would be
    read in the wrong place. `interrupted` tells such a link, where this side stopped in the middle
    (Ctrl-C), from one that the device left.

    Attributes:
        serial: the device's address, as ``host:port``.
        banner: what the device says of itself.
        max_payload: bytes that one message to the device may carry.
        timeout_s: seconds that the device may take for one message.
    """

    def __init__(self, host: str, port: int, timeout_s: float) -> None:
        self.serial = f"{host}:{port}"
        self.timeout_s = timeout_s
        self.banner = Banner("", {}, frozenset())
        self.max_payload = 0
        self._transport = TcpTransport(host, port)
        self._adb = AdbShellDevice(self._transport, banner=b"pwl")
        self._messages = self._adb._io_manager = _KeepsBanner(self._transport)
        self._intact = False
        self._lost = ""
        self._last_stream = 0

    @classmethod
    def dial(
        cls, host: str, port: int, *, timeout_s: float, consent_s: float, keys: Sequence[Path] = ()
    ) -> Link:
        """Connects, with this host's keys where the device asks for one.

        Args:
            host: name or address.
            port: where its adbd listens.
            timeout_s: seconds that the device may take for an answer, now and later.
            consent_s: seconds that its owner has to allow a key that the device does not know.
            keys: private keys to offer before the usual ones.

        Raises:
            DeviceError: not reachable, not ADB, not authorised, or too old.
        """
        link = cls(host, port, timeout_s)
        try:
            link._greet(consent_s, keys)
        except BaseException:
            link.close()
            raise
        return link

    @property
    def interrupted(self) -> bool:
        """Whether this side, not the device, left a message unfinished."""
        return not self._intact and not self._lost

    def new_stream_number(self) -> int:
        self._last_stream += 1
        return self._last_stream

    def send(self, command: bytes, stream: int, peer: int, data: bytes = b"") -> None:
        """Sends one message.

        Raises:
            DeviceGoneError: the connection is lost.
        """
        with self._whole_message():
            self._messages.send(AdbMessage(command, stream, peer, data), self._info())

    def receive(self, deadline: float) -> Message:
        """Waits for the next message.

        Args:
            deadline: `time.monotonic` by which it must have begun.

        Raises:
            DeviceTimeoutError: none began; the link is still usable.
            DeviceGoneError: the connection is lost.
        """
        if self._intact and not self._arrives(deadline):
            raise DeviceTimeoutError(f"{self.serial} did not answer in time", RECONNECT)
        with self._whole_message():
            return Message(*self._messages._read_packet_from_device(self._info()))

    def close(self) -> None:
        self._lose("closed by this side")

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
        except (*TOO_LATE, *NOT_ADB, OSError) as error:
            raise self._gone(error) from error
        self._intact = True

    def _gone(self, error: Exception) -> DeviceGoneError:
        self._lose(str(error))
        return DeviceGoneError(f"the connection to {self.serial} is lost: {error}", RECONNECT)

    def _lose(self, reason: str) -> None:
        self._intact = False
        self._lost = self._lost or reason
        self._transport.close()

    def _info(self) -> _AdbTransactionInfo:
        # The transport's deadline is the one that counts.
        return _AdbTransactionInfo(None, None, self.timeout_s, self.timeout_s)

    # ---- handshake

    def _greet(self, consent_s: float, keys: Sequence[Path]) -> None:
        try:
            self._handshake(None, self.timeout_s)
        except exceptions.DeviceAuthError:
            self._authenticate(consent_s, keys)
        self.banner = Banner.parse(self._messages.banner)
        self.max_payload = min(self._adb._maxdata, constants.MAX_ADB_DATA)
        if "shell_v2" not in self.banner.features:
            raise DeviceError(
                f"{self.serial} has no shell protocol 2 (state: {self.banner.state or 'unknown'})",
                "Android 7 or later is needed, started normally (not recovery)",
            )
        if self.max_payload < constants.MAX_LEGACY_ADB_DATA:
            raise DeviceError(
                f"{self.serial} takes messages of {self.max_payload} bytes only",
                "no adbd of Android does: check the host and the port",
            )
        self._intact = True

    def _authenticate(self, consent_s: float, keys: Sequence[Path]) -> None:
        asked = False

        def on_question(_: object) -> None:
            nonlocal asked
            asked = True
            self._transport.deadline = time.monotonic() + consent_s
            logger.warning(
                '%s waits for its owner: unlock its screen and press "Allow" (%.0f s)',
                self.serial,
                consent_s,
            )

        signers = auth.signers(keys)
        try:
            self._handshake(signers, consent_s, on_question)
        except (DeviceTimeoutError, DeviceGoneError) as error:
            if not asked:
                raise
            reason = "its owner did not allow it"
            if isinstance(error, DeviceTimeoutError):
                reason = f"nobody pressed Allow within {consent_s:.0f} s"
            raise DeviceError(
                f"{self.serial} is not authorised for this host: {reason}",
                'unlock the device\'s screen, press "Allow USB debugging" and start again',
            ) from None

    def _handshake(
        self,
        signers: Sequence[object] | None,
        consent_s: float,
        on_question: Callable[[object], None] | None = None,
    ) -> None:
        self._transport.deadline = time.monotonic() + self.timeout_s
        try:
            self._adb.connect(
                rsa_keys=signers,
                transport_timeout_s=self.timeout_s,
                auth_timeout_s=consent_s,
                read_timeout_s=max(self.timeout_s, consent_s),
                auth_callback=on_question,
            )
        except TOO_LATE:
            raise DeviceTimeoutError(
                f"{self.serial} accepts connections, but does not answer as an ADB device",
                "check the port; a device that hangs: restart it",
            ) from None
        except OSError as error:
            raise DeviceGoneError(
                f"{self.serial} ended the connection before it was accepted: {error}",
                "check that this is adbd's own port, not the adb server's (5037)",
            ) from None
        except NOT_ADB as error:
            if "STLS" in str(error):
                raise DeviceError(
                    f"{self.serial} is a wireless debugging port, which takes paired hosts only",
                    "`adb tcpip 5555` (after `adb pair` and `adb connect`) opens one for this tool",
                ) from None
            raise DeviceError(
                f"{self.serial} does not speak ADB: {error}", "check the host and the port"
            ) from None
