"""Files of this machine on their way to or from a device.

What goes wrong with them is a `TransferError`; what a progress callback raises passes through.
"""

from __future__ import annotations

import contextlib
import hashlib
import uuid
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from pipeline.core.atomic_files import sha256_of
from pipeline.device.base import TransferError, TransferProgress
from pipeline.device.file_remedies import remedy_for

_PIECE = 1 << 20


def partial_name() -> str:
    """A hidden name that no other transfer uses, for an unfinished file beside its target."""
    return f".pwl-{uuid.uuid4().hex}.part"


def read_blocks(path: Path) -> Iterator[bytes]:
    """Yields a file's bytes, a piece at a time."""
    with _transfer_errors(path, "read"), path.open("rb", buffering=0) as file:
        while block := file.read(_PIECE):
            yield block


class Source(AbstractContextManager["Source"]):
    """A file of this machine that is read once, into memory that is there already.

    Args:
        path: the file.
        hashed: whether its sha256 will be wanted.

    Raises:
        TransferError: it cannot be opened.
    """

    def __init__(self, path: Path, *, hashed: bool) -> None:
        self._path = path
        self._digest = hashlib.sha256() if hashed else None
        with _transfer_errors(path, "read"):
            self._file = path.open("rb", buffering=0)

    def read_into(self, view: memoryview) -> int:
        """Fills a buffer; returns how many bytes of it, none at the file's end.

        Raises:
            TransferError: it cannot be read.
        """
        with _transfer_errors(self._path, "read"):
            count = self._file.readinto(view) or 0
        if self._digest is not None:
            self._digest.update(view[:count])
        return count

    @property
    def sha256(self) -> str:
        """Of what was read so far."""
        assert self._digest is not None
        return self._digest.hexdigest()

    def __exit__(self, *error: object) -> None:
        self._file.close()


def file_size(path: Path) -> int:
    with _transfer_errors(path, "read"):
        return path.stat().st_size


def transfer_digest(path: Path) -> str:
    """The sha256 of a file that is transferred.

    Raises:
        TransferError: it cannot be read.
    """
    with _transfer_errors(path, "read"):
        return sha256_of(path)


def store(
    blocks: Iterable[bytes],
    target: Path,
    *,
    size: int,
    sha256: str,
    mode: int = 0o644,
    progress: TransferProgress | None = None,
) -> None:
    """Writes a file under a temporary name, reads it back, and renames it when it is right.

    Args:
        blocks: its bytes.
        target: where it appears; its folder is made when it is missing.
        size: how many bytes there are to be.
        sha256: what they are to hash to.
        mode: its permission bits.
        progress: told what is written; an exception in it ends the transfer.

    Raises:
        TransferError: it cannot be written, or holds other bytes than it should; nothing is left.
    """
    partial = target.with_name(partial_name())
    written = 0
    try:
        with _transfer_errors(target, "written"):
            target.parent.mkdir(parents=True, exist_ok=True)
            sink = partial.open("xb")
        with sink:
            for block in blocks:
                with _transfer_errors(target, "written"):
                    sink.write(block)
                written += len(block)
                if written > size:
                    break  # however much more there is, it is not what was announced
                if progress is not None and written < size:
                    progress(written, size)
        if progress is not None and written == size:
            progress(written, size)
        arrived = transfer_digest(partial)
        if (written, arrived) != (size, sha256):
            raise TransferError(
                f"{target} was not written: it arrived as {written} bytes, {arrived}, "
                f"and was {size} bytes, {sha256}",
                "see that nothing writes to either meanwhile; if nothing does, the storage fails",
            )
        with _transfer_errors(target, "written"):
            partial.chmod(mode)
            partial.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def _transfer_errors(path: Path, what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise TransferError(
            f"{path} cannot be {what}: {reason}", remedy_for(reason, path)
        ) from error
