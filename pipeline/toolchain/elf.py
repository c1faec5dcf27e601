"""What a program or shared library says of itself, read from its ELF headers.

`ldd` starts the very program, which another processor's cannot be. The format is that of the System
V ABI, chapters 4 and 5 (https://gabi.xinuos.com): 64-bit and little-endian, as all our targets are.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.errors import DeviceError

#: e_machine by ABI, in Android's spelling.
MACHINES = {"x86_64": 62, "arm64-v8a": 183}

_IDENT = b"\x7fELF\x02\x01\x01"
_HEADER = struct.Struct("<16sHHIQQQIHHH")
_PROGRAM_HEADER = struct.Struct("<IIQQQQQQ")
_DYNAMIC = struct.Struct("<qQ")
_LOAD, _DYNAMIC_SEGMENT, _INTERPRETER = 1, 2, 3
_NULL, _NEEDED, _STRINGS, _RPATH, _RUNPATH = 0, 1, 5, 15, 29


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of the file that is mapped into memory (PT_LOAD).

    Attributes:
        offset: where it begins in the file.
        address: where it begins in memory.
        size: its bytes in the file.
        align: what offset and address are congruent by.
    """

    offset: int
    address: int
    size: int
    align: int

    def fits_pages_of(self, size: int) -> bool:
        """Whether a kernel with pages of `size` bytes can map it."""
        return self.align % size == 0 and (self.address - self.offset) % size == 0


@dataclass(frozen=True, slots=True)
class Elf:
    """An ELF file.

    Attributes:
        machine: e_machine of the processor that it is for.
        segments: what of it is mapped.
        interpreter: path of the dynamic loader that a program asks for.
        needed: names of the shared libraries that it asks for.
        runpath: where these are looked for first.
    """

    machine: int
    segments: tuple[Segment, ...]
    interpreter: str | None
    needed: tuple[str, ...]
    runpath: tuple[str, ...]

    @classmethod
    def read(cls, path: Path) -> Elf:
        """Reads a file's headers.

        Raises:
            DeviceError: it is no 64-bit, little-endian ELF file, or a damaged one.
        """
        try:
            return _parse(path.read_bytes())
        except (struct.error, ValueError, UnicodeDecodeError) as error:
            raise DeviceError(
                f"{path} is no whole 64-bit ELF file: {error}",
                "remove it; it is then built or fetched again",
            ) from None


def _parse(data: bytes) -> Elf:
    if not data.startswith(_IDENT):
        raise ValueError("it begins otherwise")
    _, _, machine, _, _, table, _, _, _, entry, count = _HEADER.unpack_from(data)
    segments: list[Segment] = []
    interpreter: str | None = None
    dynamic: list[tuple[int, int]] = []
    for index in range(count):
        kind, _, offset, address, _, size, _, align = _PROGRAM_HEADER.unpack_from(
            data, table + index * entry
        )
        if offset + size > len(data):
            raise ValueError("it is cut short")
        content = data[offset : offset + size]
        if kind == _LOAD:
            segments.append(Segment(offset, address, size, align))
        elif kind == _INTERPRETER:
            interpreter = content.rstrip(b"\0").decode()
        elif kind == _DYNAMIC_SEGMENT:
            dynamic = _until_null(content)
    strings = _strings(data, segments, dynamic)
    return Elf(
        machine,
        tuple(segments),
        interpreter,
        tuple(_string(strings, at) for tag, at in dynamic if tag == _NEEDED),
        tuple(
            folder
            for tag, at in dynamic
            if tag in (_RPATH, _RUNPATH)
            for folder in _string(strings, at).split(":")
        ),
    )


def _until_null(content: bytes) -> list[tuple[int, int]]:
    entries: list[tuple[int, int]] = []
    for tag, value in _DYNAMIC.iter_unpack(content):
        if tag == _NULL:
            break
        entries.append((tag, value))
    return entries


def _strings(data: bytes, segments: list[Segment], dynamic: list[tuple[int, int]]) -> bytes:
    """The string table that the dynamic section names by its address in memory."""
    for tag, address in dynamic:
        if tag != _STRINGS:
            continue
        for segment in segments:
            if 0 <= address - segment.address < segment.size:
                end = segment.offset + segment.size
                return data[segment.offset + address - segment.address : end]
        raise ValueError("its string table is nowhere")
    return b""


def _string(strings: bytes, at: int) -> str:
    return strings[at : strings.index(b"\0", at)].decode()
