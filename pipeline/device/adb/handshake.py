"""How a device and this host come to speak: versions, keys, encryption."""

from __future__ import annotations

import dataclasses
import logging
import ssl
import time
from collections.abc import Sequence
from pathlib import Path

from pipeline.core.errors import DeviceError
from pipeline.device.adb import auth
from pipeline.device.adb.banner import Banner
from pipeline.device.adb.listing import READY, Listed, not_ready
from pipeline.device.adb.messages import (
    MAX_PAYLOAD,
    WITHOUT_CHECKSUMS,
    Message,
    Messages,
    NotAdbError,
)
from pipeline.device.adb.transport import Transport
from pipeline.device.base import DeviceGoneError, DeviceTimeoutError

logger = logging.getLogger(__name__)

#: The second argument of what we say of AUTH: here is a signature, here is a public key.
TOKEN, SIGNATURE, PUBLIC_KEY = 1, 2, 3
TOKEN_BYTES = 20
TLS_VERSION = 0x01000000
#: Bytes that even the oldest adbd takes in one message.
LEAST_PAYLOAD = 4096
#: The feature by which both sides may have many bytes on their way: each stream is opened with the
#: number that its opener takes, and a confirmation says how many more (Android 14).
DELAYED_ACK = "delayed_ack"
#: What we can do ourselves.
FEATURES = ("shell_v2", "cmd", "stat_v2", "ls_v2", "fixed_push_mkdir", DELAYED_ACK)

UNPAIRED = (
    "pair this host once: `adb pair HOST:PORT` with the code that the device shows under Wireless "
    "debugging, as the same user (the key is ~/.android/adbkey)"
)


class Handshake:
    """One attempt to be let in.

    Args:
        transport: not connected yet.
        messages: over it.
        timeout_s: seconds for each answer.
        consent_s: seconds that the device's owner has to allow a key.
        keys: private keys to offer before the usual ones.
    """

    def __init__(
        self,
        transport: Transport,
        messages: Messages,
        timeout_s: float,
        consent_s: float,
        keys: Sequence[Path],
    ) -> None:
        self._transport = transport
        self._messages = messages
        self._timeout_s = timeout_s
        self._consent_s = consent_s
        self._keys = keys

    def perform(self) -> tuple[Banner, int]:
        """Connects; returns what the device says of itself, and the bytes a message may carry.

        Of its features, those are left out that this side does not have.

        Raises:
            DeviceError: not reachable, not ADB, not authorized, or too old.
        """
        name = self._transport.name
        try:
            accepted = self._greet()
        except TimeoutError:
            raise DeviceTimeoutError(
                f"{name} accepts connections, but does not answer as an ADB device",
                "check the port; a device that hangs: restart it",
            ) from None
        except OSError as error:
            raise DeviceGoneError(
                f"{name} ended the connection before it was accepted: {error}",
                "check that this is adbd's own port, not the adb server's (5037)",
            ) from None
        except NotAdbError as error:
            raise DeviceError(
                f"{name} does not speak ADB: {error}", "check the host and the port"
            ) from None
        banner = Banner.parse(accepted.data)
        if banner.state != READY:
            raise not_ready(Listed(name, banner.state or "of an unknown state", {}))
        if "shell_v2" not in banner.features:
            raise DeviceError(
                f"{name} has no shell protocol 2",
                "Android 7 or later is needed",
            )
        if accepted.arg1 < LEAST_PAYLOAD:
            raise DeviceError(
                f"{name} takes messages of {accepted.arg1} bytes only",
                "no adbd of Android does: check the host and the port",
            )
        banner = dataclasses.replace(banner, features=banner.features.intersection(FEATURES))
        return banner, min(accepted.arg1, MAX_PAYLOAD)

    def _greet(self) -> Message:
        answer = self._introduce()
        if answer.command == b"STLS":
            return self._encrypt()
        if answer.command == b"AUTH":
            return self._authenticate(answer)
        return answer

    def _introduce(self) -> Message:
        """Opens the connection and says who we are; returns what the device makes of it."""
        self._transport.deadline = time.monotonic() + self._timeout_s
        self._transport.connect()
        # Without a NUL at its end, which adbd would take for a part of the last feature's name.
        ourselves = f"host::features={','.join(FEATURES)}".encode()
        self._messages.send(b"CNXN", WITHOUT_CHECKSUMS, MAX_PAYLOAD, ourselves)
        return self._answer()

    def _answer(self) -> Message:
        """The next message of a handshake; those of an earlier connection (USB) are dropped."""
        while True:
            message = self._messages.receive()
            if message.command in (b"CNXN", b"AUTH", b"STLS"):
                return message

    def _authenticate(self, question: Message) -> Message:
        """Answers with a signature of each key, then with a key that the owner has to allow."""
        keys = auth.host_keys(self._keys)
        for key in keys:
            if question.arg0 != TOKEN or len(question.data) != TOKEN_BYTES:
                raise NotAdbError(
                    f"Unknown AUTH message {question.arg0} of {len(question.data)} bytes"
                )
            self._transport.deadline = time.monotonic() + self._timeout_s
            self._messages.send(b"AUTH", SIGNATURE, 0, key.sign(question.data))
            question = self._answer()
            if question.command == b"CNXN":
                return question
        return self._ask_owner(keys[0])

    def _ask_owner(self, key: auth.HostKey) -> Message:
        name = self._transport.name
        self._transport.deadline = time.monotonic() + self._consent_s
        logger.warning(
            '%s waits for its owner: unlock its screen and press "Allow" (%.0f s)',
            name,
            self._consent_s,
        )
        try:
            self._messages.send(b"AUTH", PUBLIC_KEY, 0, key.public.encode() + b"\0")
            while True:
                answer = self._answer()
                if answer.command == b"CNXN":
                    return answer
        except OSError as error:
            reason = "its owner did not allow it"
            if isinstance(error, TimeoutError):
                reason = f"nobody pressed Allow within {self._consent_s:.0f} s"
            raise DeviceError(
                f"{name} is not authorized for this host: {reason}",
                'unlock the device\'s screen, press "Allow USB debugging" and start again',
            ) from None

    def _encrypt(self) -> Message:
        """Goes on under TLS with the first key, of several, that the device knows.

        It lets in paired keys only, and says so by ending the connection.
        """
        from pipeline.device.adb import tls

        reason = ""
        keys = auth.host_keys(self._keys)
        for number, key in enumerate(keys):
            if number:
                self._introduce()
            self._transport.deadline = time.monotonic() + self._timeout_s
            self._messages.send(b"STLS", TLS_VERSION, 0)
            try:
                self._transport.secure(tls.context_for(key))
                return self._answer()
            except TimeoutError:
                raise
            except (ssl.SSLError, ConnectionError) as error:
                reason = str(error)
        tried = ", ".join(str(key.file) for key in keys)
        raise DeviceError(
            f"{self._transport.name} takes paired hosts only, and does not know this one's key "
            f"({tried}): {reason}",
            UNPAIRED,
        )
