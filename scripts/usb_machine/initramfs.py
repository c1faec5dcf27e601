"""The files that a kernel starts with, as an archive.

Its format is cpio's "newc"; see early-userspace/buffer-format.rst in the kernel's documentation.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from pathlib import Path

FOLDER, FILE = 0o040755, 0o100755
_END = "TRAILER!!!"


def write_initramfs(target: Path, files: Mapping[str, bytes]) -> None:
    """Writes an archive.

    Args:
        target: its file, compressed by gzip.
        files: contents by path, without a leading slash; all may be executed.
    """
    folders = sorted({str(parent) for path in files for parent in Path(path).parents} - {"."})
    entries = [_entry(folder, FOLDER, b"") for folder in folders]
    entries += [_entry(path, FILE, data) for path, data in files.items()]
    with gzip.open(target, "wb", compresslevel=1) as sink:
        for entry in (*entries, _entry(_END, 0, b"")):
            sink.write(entry)


def _entry(path: str, mode: int, data: bytes) -> bytes:
    name = path.encode() + b"\0"
    numbers = (0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name), 0)
    head = b"070701" + b"".join(b"%08x" % number for number in numbers) + name
    return _padded(head) + _padded(data)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
