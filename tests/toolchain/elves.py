"""ELF files made by hand, with nothing in them but what the loader reads."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

_AT = 0x10000


def write_elf(
    path: Path,
    needed: Sequence[str] = (),
    *,
    machine: int = 183,
    interpreter: str | None = None,
    runpath: str | None = None,
    align: int = 0x10000,
) -> Path:
    """A library (or, with an interpreter, a program) of one segment."""
    names = [*needed, *([runpath] if runpath else [])]
    strings = b"\0" + b"".join(name.encode() + b"\0" for name in names)
    at = [1 + sum(len(other) + 1 for other in names[:k]) for k in range(len(names))]
    tags = [1] * len(needed) + [29] * bool(runpath)
    loader = (interpreter or "").encode() + b"\0"
    headers = 64 + 3 * 56
    dynamic = headers + len(strings) + len(loader)
    entries = [*zip(tags, at, strict=True), (5, _AT + headers), (0, 0)]
    table = b"".join(struct.pack("<qQ", *entry) for entry in entries)
    size = dynamic + len(table)

    def segment(kind: int, begin: int, length: int, alignment: int) -> bytes:
        return struct.pack(
            "<IIQQQQQQ", kind, 4, begin, _AT + begin, _AT + begin, length, length, alignment
        )

    data = struct.pack(
        "<16sHHIQQQIHHHHHH",
        *(b"\x7fELF\x02\x01\x01", 3, machine, 1, 0, 64, 0, 0, 64, 56, 3, 0, 0, 0),
    )
    data += segment(1, 0, size, align)
    data += segment(2, dynamic, len(table), 8)
    data += segment(3 if interpreter else 0, headers + len(strings), len(loader), 1)
    path.write_bytes(data + strings + loader + table)
    return path
