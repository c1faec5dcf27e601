"""What to do about a file operation that failed, by what the operating system said of it."""

from __future__ import annotations

from pathlib import PurePath


def remedy_for(reason: str, path: PurePath, spec: str = "") -> str:
    """A remedy that can help, which another try at the same place would not.

    Args:
        reason: the words of the system or of a tool, in English.
        path: what could not be written or read.
        spec: of the device that it is on; empty for a file of this machine.
    """
    where = f"on {spec}" if spec.startswith("adb:") else "on this machine"
    for words, remedy in _REMEDIES:
        if any(word in reason for word in words):
            return remedy.format(path=path, folder=path.parent, where=where) + _elsewhere(spec)
    return f"look at {path} {where}: `ls -ld` of it and of the folders above says what is there"


def _elsewhere(spec: str) -> str:
    if spec.startswith("local"):
        return "; or use another folder, with --device local:FOLDER"
    return "; or use another folder, with --device-folder FOLDER" if spec else ""


_REMEDIES = (
    (
        ("No space left", "Disk quota exceeded", "File too large"),
        "make room {where}; `df {folder}` shows how much there is",
    ),
    (
        ("programs may not be executed",),
        "its storage is mounted noexec (`mount` {where} says so): remount that of {path} with exec",
    ),
    (("Read-only file system",), "mount the storage of {path} {where} for writing"),
    (
        ("Permission denied", "Operation not permitted"),
        "{path}, or a folder above it, belongs to another user, or forbids it (`ls -ld` {where} "
        "says who): remove it as that user (on a rooted device after `adb root`), or change its "
        "owner and mode",
    ),
    (
        ("Not a directory", "File exists", "Is a directory", "is a folder", "symbolic link"),
        "something else has the name of {path} or of a folder above it: rename or remove that "
        "{where}",
    ),
    (("No such file", "no such file"), "name a file that is there; {path} is not, {where}"),
    (("File name too long",), "give it a shorter name: that of {path} is too long {where}"),
    (
        ("it arrived as",),
        "let nothing else write to {path} {where}; if nothing does, its storage fails, or the "
        "connection changes bytes",
    ),
    (("Input/output error",), "the storage of {path} {where} fails: check it, or replace it"),
)
