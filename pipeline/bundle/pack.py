"""Writes bundle folders: the same content gives the same bytes, and a folder appears whole."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from pipeline.bundle.control import Controls, control_folder
from pipeline.bundle.manifest import FileEntry, Manifest
from pipeline.core.atomic_files import replacing_folder, replacing_folders, sha256_of
from pipeline.core.errors import IntegrityError
from pipeline.core.outputs import require_replaceable

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
    require_replaceable(out, partial(_foreign, MANIFEST), "--out")
    with replacing_folder(out) as folder:
        _write(folder, MANIFEST, manifest.to_json(), tuple(manifest.files()), files)


def pack_build(
    manifest: Manifest,
    files: Mapping[str, Content],
    controls: Controls,
    arms: Mapping[str, Content],
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
        _write(folder, MANIFEST, manifest.to_json(), tuple(manifest.files()), files)
        _write(beside, CONTROL, controls.to_json(), tuple(controls.files()), arms)


def require_build_output(out: Path, *, keeps: tuple[Path, ...] = ()) -> None:
    """Makes sure that a bundle and its control arms can be written.

    Args:
        out: the bundle's folder.
        keeps: what must not be replaced with it, as the cache.

    Raises:
        UsageError: something else is in one of the places, or they cannot be written to.
    """
    require_replaceable(out, partial(_foreign, MANIFEST), "--out", keeps=keeps)
    require_replaceable(control_folder(out), partial(_foreign, CONTROL), "--out", keeps=keeps)


def _foreign(head: str, folder: Path) -> str | None:
    """What a folder holds that no build wrote; None where it is a bundle, whole or damaged.

    A manifest.json alone says little: web pages and browser extensions have one, too.
    """
    if not (folder / head).is_file():
        return f"it has no {head}"
    try:
        text = (folder / SUMS).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return f"it has no {SUMS}"
    known = {head, SUMS, *(line.partition("  ")[2] for line in text.splitlines())}
    present = (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    others = sorted({str(path.relative_to(folder)) for path in present} - known)
    return f"{others[0]} is not part of a bundle" if others else None


def _write(
    folder: Path,
    head: str,
    text: str,
    entries: tuple[FileEntry, ...],
    files: Mapping[str, Content],
) -> None:
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
