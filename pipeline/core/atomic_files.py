"""Files and folders that appear whole or not at all."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

#: Of the names of unfinished files and folders; what follows is no longer than a name may be.
_UNFINISHED = ".pwl-"


def sha256_of(path: Path) -> str:
    """The sha256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def real_path(path: Path) -> Path:
    """A path without links and ``..``, as far as it exists: what writing to `path` would write."""
    return Path(os.path.realpath(path))


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a temporary path beside `path`, moved over it when the block ends without an error.

    A link stays one: what it points to is replaced. An OSError that names no file, as of a full
    disk, gets the name of `path`.
    """
    target = real_path(path)
    with _naming(path):
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=_UNFINISHED)
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            temporary.chmod(0o644)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Writes a text file that appears whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_texts(folder: Path, texts: Mapping[str, str]) -> None:
    """Writes text files by name, which take their places, in this order, when all are whole."""
    with ExitStack() as places:
        # The last one that is written takes its place first.
        for name, text in reversed([*texts.items()]):
            places.enter_context(replacing(folder / name)).write_text(text, encoding="utf-8")


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Gives a new folder that takes the place of `path`; see `replacing_folders`."""
    with replacing_folders([path]) as (temporary,):
        yield temporary


@contextmanager
def replacing_folders(paths: Sequence[Path]) -> Iterator[list[Path]]:
    """Gives new folders that take the places of `paths` when the block ends without an error.

    They change places one right after the other, in the order given, and only when all of them are
    on disk; where one fails, those before it are changed back. Each change is one step (on Linux,
    where the file system can), so that there is no moment without a folder. What was there is
    removed last. A link stays one: the folder that it points to is replaced. An OSError that names
    no file gets the name of the first path.
    """
    targets = [real_path(path) for path in paths]
    with ExitStack() as cleanup, _naming(paths[0]):
        folders: list[Path] = []
        for target in targets:
            target.parent.mkdir(parents=True, exist_ok=True)
            _sweep(target.parent)
            folders.append(cleanup.enter_context(_unfinished_folder(target.parent)))
        yield folders
        for folder in folders:
            folder.chmod(0o755)
            _to_disk(folder)
        with ExitStack() as undo:
            for folder, target in zip(folders, targets, strict=True):
                undo.callback(_put(folder, target))
            undo.pop_all()


@contextmanager
def _unfinished_folder(parent: Path) -> Iterator[Path]:
    """A new folder in a hidden one, which is removed in the end and locked until then."""
    place = Path(tempfile.mkdtemp(dir=parent, prefix=_UNFINISHED))
    try:
        with _locked(place):
            folder = place / "new"
            folder.mkdir(0o755)
            yield folder
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _sweep(parent: Path) -> None:
    """Removes what programs left in a folder that were killed while they wrote a folder there."""
    for place in parent.glob(f"{_UNFINISHED}*"):
        with suppress(OSError):
            age = time.time() - place.stat().st_mtime
            # What else would lie in it is the only copy of what was being replaced.
            if age > _STALE_S and [path.name for path in place.iterdir()] == ["new"]:
                with _locked(place):
                    shutil.rmtree(place, ignore_errors=True)


#: Long enough to lock a new folder.
_STALE_S = 60.0


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Holds a folder's lock, which the system frees with its holder; BlockingIOError if held."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


def _put(folder: Path, target: Path) -> Callable[[], None]:
    """Puts a folder at `target`; what was there is then at `folder`. Gives what undoes it."""
    for _ in range(_TRIES):
        try:
            if os.path.lexists(target):
                _exchange(folder, target)
                return lambda: _exchange(folder, target)
            folder.rename(target)  # an empty folder would be replaced; another refuses
        except FileNotFoundError:
            if not folder.exists():
                raise
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        else:
            return lambda: _move(target, folder)
        # Somebody made or removed the target in between: look again.
    raise OSError(errno.ENOTEMPTY, "another program keeps on changing it", str(target))


_TRIES = 100


def _move(source: Path, target: Path) -> None:
    source.rename(target)


def _exchange(one: Path, other: Path) -> None:
    """Has two folders change places, in one step where the system can."""
    if _renameat2 is not None:
        flags = (_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE)
        if _renameat2(*flags) == 0:
            return
        number = ctypes.get_errno()
        if number not in (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM):
            raise OSError(number, os.strerror(number), str(other))
    aside = one.with_name("aside")
    other.rename(aside)
    try:
        one.rename(other)
    except BaseException:
        aside.rename(other)
        raise
    aside.rename(one)


def _find_renameat2() -> Callable[..., int] | None:
    """Linux's renameat2(2), of glibc 2.28 and later."""
    try:
        function = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError, TypeError):
        return None
    folder, name = ctypes.c_int, ctypes.c_char_p
    function.argtypes = (folder, name, folder, name, ctypes.c_uint)
    found: Callable[..., int] = function
    return found


_renameat2 = _find_renameat2()
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


def _to_disk(folder: Path) -> None:
    """Has the system write out a folder: what a crash leaves is then whole."""
    for path in (*folder.rglob("*"), folder):
        with suppress(OSError):  # some file systems know no such thing for folders
            handle = os.open(path, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise
