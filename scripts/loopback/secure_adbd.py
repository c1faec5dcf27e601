"""Gives Debian's adbd back the RSA authentication that a phone's adbd demands.

Debian's build sets ``auth_required = false`` early in main(). On amd64 that is one store:

    48 8d 05 xx xx xx xx    lea  rax, [auth_required]
    c6 00 00                mov  byte [rax], 0
    48 8d 3d yy yy yy yy    lea  rdi, ["ADB_EXTERNAL_STORAGE"]

TLS, as wireless debugging speaks it, it offers only where a property of Android says so:

    41 80 be xx xx xx xx 01  cmp  byte [r14 + use_tls], 1
    0f 85 yy yy yy yy        jne  [no TLS]
    4c 89 f7 e8 ...          mov  rdi, r14; call send_tls_request

`demand_authentication` makes a copy in which the byte stored is 1. It does so only where exactly
one place has this form, its string is that one and the variable's initial value is 1 (true).
`demand_tls` makes a copy that never jumps there, where exactly one place has that form.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

STORE = re.compile(rb"\x48\x8d\x05(.{4})\xc6\x00(\x00)\x48\x8d\x3d(.{4})", re.DOTALL)
NO_TLS = re.compile(rb"\x41\x80\xbe.{4}\x01(\x0f\x85.{4})\x4c\x89\xf7\xe8", re.DOTALL)
NOP = b"\x90"
NEXT_STRING = b"ADB_EXTERNAL_STORAGE\0"
PT_LOAD = 1


class PatternError(Exception):
    """The program is another build than the one that the pattern was made for."""


def demand_authentication(program: bytes) -> bytes:
    """Returns adbd with its one flag changed.

    Raises:
        PatternError: the place is not there, or not unique.
    """
    offsets = list(_places(program))
    if len(offsets) != 1:
        raise PatternError(f"the store to auth_required was found {len(offsets)} times, not once")
    patched = bytearray(program)
    patched[offsets[0]] = 1
    return bytes(patched)


def demand_tls(program: bytes) -> bytes:
    """Returns adbd without the jump past TLS.

    Raises:
        PatternError: the place is not there, or not unique.
    """
    jumps = [match.span(1) for match in NO_TLS.finditer(program)]
    if len(jumps) != 1:
        raise PatternError(f"the jump past TLS was found {len(jumps)} times, not once")
    begin, end = jumps[0]
    return program[:begin] + NOP * (end - begin) + program[end:]


def _places(program: bytes) -> Iterator[int]:
    segments = _segments(program)
    for match in STORE.finditer(program):
        # A rip-relative operand counts from the end of its own instruction.
        variable = _target(segments, match.end(1), match[1])
        string = _target(segments, match.end(3), match[3])
        if (
            variable is not None
            and string is not None
            and program[variable : variable + 1] == b"\1"
            and program.startswith(NEXT_STRING, string)
        ):
            yield match.start(2)


def _segments(program: bytes) -> list[tuple[int, int, int]]:
    """File offset, address and size in the file of each loaded segment."""
    if program[:6] != b"\x7fELF\x02\x01" or struct.unpack_from("<H", program, 18)[0] != 62:
        raise PatternError("it is not an x86-64 program")
    (table,) = struct.unpack_from("<Q", program, 32)
    entry_size, count = struct.unpack_from("<HH", program, 54)
    segments = []
    for index in range(count):
        kind, _, offset, address, _, size = struct.unpack_from(
            "<IIQQQQ", program, table + index * entry_size
        )
        if kind == PT_LOAD:
            segments.append((offset, address, size))
    return segments


def _target(segments: list[tuple[int, int, int]], end: int, operand: bytes) -> int | None:
    """The file offset that a rip-relative operand, ending at file offset ``end``, points to."""
    distance = int.from_bytes(operand, "little", signed=True)
    for offset, address, size in segments:
        if offset <= end < offset + size:
            wanted = end - offset + address + distance
            break
    else:
        return None
    for offset, address, size in segments:
        if address <= wanted < address + size:
            return wanted - address + offset
    return None
