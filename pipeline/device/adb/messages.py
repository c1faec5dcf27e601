"""ADB's messages: six little-endian numbers, then data; see protocol.txt in AOSP's modules/adb."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from pipeline.device.adb.link import Buffer
from pipeline.device.adb.transport import Transport

#: Command, two arguments, length and checksum of the data, the command's complement.
MESSAGE_HEADER = struct.Struct("<6I")
COMMANDS = frozenset({b"CNXN", b"AUTH", b"STLS", b"OPEN", b"OKAY", b"WRTE", b"CLSE", b"SYNC"})

#: The protocol's first version, and the one (Android 7) from which no checksums are needed: on
#: either side they take longer than all the rest of a transfer.
WITH_CHECKSUMS = 0x01000000
WITHOUT_CHECKSUMS = 0x01000001
#: Bytes of data in one message, as Android limits them.
MAX_PAYLOAD = 1 << 20
#: What a message takes at most longer than a short one is reckoned from it: no link is slower.
SLOWEST_LINK_BYTES_S = 48 << 10
#: Bytes that are sent however slow a link is: more only where it took more within a second before.
SLOW_BYTES = 128 << 10


class NotAdbError(Exception):
    """What came is no ADB message."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message.

    Attributes:
        command: ``OKAY``, ``WRTE``, ``CLSE``...
        arg0: of a stream's message: the sender's number of the stream.
        arg1: of a stream's message: the receiver's number of the stream.
        data: its payload.
    """

    command: bytes
    arg0: int
    arg1: int
    data: bytes


class Messages:
    """Messages over one transport, whose deadline is that for a message with little data.

    Attributes:
        version: what both sides speak, once the device has said what it can.
    """

    def __init__(self, transport: Transport) -> None:
        self.version = WITH_CHECKSUMS
        self._transport = transport

    def send(self, command: bytes, arg0: int, arg1: int, *buffers: Buffer) -> None:
        """Sends a message, whose data is that of all buffers.

        Raises:
            TimeoutError: the device does not read it.
            OSError: the connection is lost.
        """
        length = sum(map(len, buffers))
        check = 0 if self.version >= WITHOUT_CHECKSUMS else _checksum(*buffers)
        number = int.from_bytes(command, "little")
        header = MESSAGE_HEADER.pack(number, arg0, arg1, length, check, number ^ 0xFFFFFFFF)
        self._transport.deadline += min(length, SLOW_BYTES) / SLOWEST_LINK_BYTES_S
        self._transport.write(header, *buffers)

    def receive(self) -> Message:
        """Receives a message.

        Raises:
            NotAdbError: it is none.
            TimeoutError: it does not come, or not to its end.
            OSError: the connection is lost.
        """
        header = self._transport.read(MESSAGE_HEADER.size)
        number, arg0, arg1, length, check, complement = MESSAGE_HEADER.unpack(header)
        command = header[:4]
        if command not in COMMANDS or number ^ complement != 0xFFFFFFFF:
            raise NotAdbError(f"Unknown command {header[:16]!r}")
        if length > MAX_PAYLOAD:
            raise NotAdbError(f"a message of {length} bytes was announced")
        self._transport.deadline += length / SLOWEST_LINK_BYTES_S
        data = self._transport.read(length) if length else b""
        if command == b"CNXN":
            self.version = min(arg0, WITHOUT_CHECKSUMS)
        # A device that knows our version may leave them out before it has said its own.
        unchecked = self.version >= WITHOUT_CHECKSUMS or (command != b"CNXN" and check == 0)
        if not unchecked and check != _checksum(data):
            raise NotAdbError(f"a checksum of {check} came with data of {_checksum(data)}")
        return Message(command, arg0, arg1, data)


def _checksum(*buffers: Buffer) -> int:
    return sum(map(sum, buffers)) & 0xFFFFFFFF
