"""Writes bundle folders: the same content gives the same bytes, and a folder appears whole."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.bundle.artifact import FileEntry
from pipeline.bundle.control import Controls
from pipeline.bundle.layout import (
    CONTROL,
    MANIFEST,
    SUMS,
    control_folder,
    require_build_output,
    sums_text,
)
from pipeline.bundle.manifest import Manifest
from pipeline.core.atomic_files import replacing_folders, sha256_of
from pipeline.core.errors import IntegrityError

#: The content of a file: its bytes, or a file to copy them from.
FileContent = bytes | Path


def entry_for(path: str, content: FileContent) -> FileEntry:
    """Describes a file that is to be packed under `path`."""
    if isinstance(content, Path):
        return FileEntry(path=path, bytes=content.stat().st_size, sha256=sha256_of(content))
    return FileEntry(path=path, bytes=len(content), sha256=hashlib.sha256(content).hexdigest())


def copied_to(path: str, entry: FileEntry) -> FileEntry:
    """The same content under another path."""
    return FileEntry(path=path, bytes=entry.bytes, sha256=entry.sha256)


def pack_build(
    manifest: Manifest,
    files: Mapping[str, FileContent],
    controls: Controls,
    arms: Mapping[str, FileContent],
    out: Path,
) -> None:
    """Writes a bundle and its control arms, and replaces earlier ones of both together.

    A crash between the two moves leaves control arms that name another bundle, which every reader
    refuses and the next build makes good.

    Args:
        manifest: what the bundle is.
        files: content by path, for exactly the paths that the manifest names.
        controls: the control arms.
        arms: their content by path.
        out: the bundle's folder; `control_folder` says where the control arms go.

    Raises:
        UsageError: something else is in one of the places; both are left alone.
        IntegrityError: a file changed since the manifest was made.
    """
    require_build_output(out)
    with replacing_folders([control_folder(out), out]) as (beside, folder):
        write_folder(folder, MANIFEST, manifest.to_json(), tuple(manifest.files()), files)
        write_folder(beside, CONTROL, controls.to_json(), tuple(controls.files()), arms)


def write_folder(
    folder: Path,
    head: str,
    text: str,
    entries: Sequence[FileEntry],
    files: Mapping[str, FileContent],
) -> None:
    """Writes files, the one that describes them, and SHA256SUMS into an empty folder.

    Args:
        folder: where to.
        head: the name of the file that says what the folder is.
        text: its content.
        entries: all other files.
        files: content by path, for exactly those.

    Raises:
        IntegrityError: what was written is not what the entries say.
    """
    if {entry.path for entry in entries} != files.keys():
        raise ValueError("the files given are not the files named")
    for entry in entries:
        target = folder / entry.path
        target.parent.mkdir(parents=True, exist_ok=True)
        content = files[entry.path]
        if isinstance(content, Path):
            shutil.copyfile(content, target)
        else:
            target.write_bytes(content)
        if (target.stat().st_size, sha256_of(target)) != (entry.bytes, entry.sha256):
            raise IntegrityError(
                f"{content if isinstance(content, Path) else entry.path} changed while the bundle "
                "was being made",
                "run again; see that no other program writes to the cache",
            )
    (folder / head).write_text(text, encoding="utf-8")
    sums = {entry.path: entry.sha256 for entry in entries}
    sums[head] = hashlib.sha256(text.encode()).hexdigest()
    (folder / SUMS).write_text(sums_text(sums), encoding="utf-8")
