"""Writes bundle folders: the same content gives the same bytes, and a folder appears whole."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path

from pipeline.bundle.control import Controls
from pipeline.bundle.manifest import FileEntry, Manifest
from pipeline.errors import UsageError
from pipeline.files import replacing_folder, sha256_of

#: The content of a file: its bytes, or a file to copy them from.
Content = bytes | Path

SUMS = "SHA256SUMS"
MANIFEST = "manifest.json"
CONTROL = "control.json"


def entry_for(path: str, content: Content) -> FileEntry:
    """Describes a file that is to be packed under `path`."""
    if isinstance(content, Path):
        return FileEntry(path=path, bytes=content.stat().st_size, sha256=sha256_of(content))
    return FileEntry(path=path, bytes=len(content), sha256=hashlib.sha256(content).hexdigest())


def sums_text(digests: Mapping[str, str]) -> str:
    """The text of SHA256SUMS, as `sha256sum --check` reads it, for digests by path."""
    return "".join(f"{digest}  {path}\n" for path, digest in sorted(digests.items()))


def pack_bundle(manifest: Manifest, files: Mapping[str, Content], out: Path) -> None:
    """Writes a bundle folder: manifest.json, the files it names, SHA256SUMS.

    Args:
        manifest: what the bundle is.
        files: content by path, for exactly the paths that the manifest names.
        out: the folder; an earlier bundle there is replaced in one move.

    Raises:
        UsageError: `out` is something else than a bundle, and is left alone.
        IntegrityError: a file changed since the manifest was made.
    """
    _write(out, MANIFEST, manifest.to_json(), tuple(manifest.files()), files)


def pack_controls(controls: Controls, files: Mapping[str, Content], out: Path) -> None:
    """Writes a folder of control arms, under the same rules as `pack_bundle`."""
    _write(out, CONTROL, controls.to_json(), tuple(controls.files()), files)


def _write(
    out: Path,
    head: str,
    text: str,
    entries: tuple[FileEntry, ...],
    files: Mapping[str, Content],
) -> None:
    if {entry.path for entry in entries} != files.keys():
        raise ValueError("the files given are not the files named")
    if out.exists() and not ((out / head).is_file() or _is_empty_folder(out)):
        raise UsageError(
            f"{out} exists and is no folder that this command wrote (it has no {head})",
            "name another --out, or remove it yourself",
        )
    with replacing_folder(out) as folder:
        for entry in entries:
            target = folder / entry.path
            target.parent.mkdir(parents=True, exist_ok=True)
            content = files[entry.path]
            if isinstance(content, Path):
                shutil.copyfile(content, target)
            else:
                target.write_bytes(content)
        (folder / head).write_text(text, encoding="utf-8")
        sums = {entry.path: entry.sha256 for entry in entries}
        sums[head] = hashlib.sha256(text.encode()).hexdigest()
        (folder / SUMS).write_text(sums_text(sums), encoding="utf-8")


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())
