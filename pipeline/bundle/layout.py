"""The files of bundle folders by their names and sums, as far as they need no manifest."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from pipeline.core.atomic_files import real_path, sha256_of
from pipeline.core.outputs import require_replaceable

SUMS = "SHA256SUMS"
MANIFEST = "manifest.json"
CONTROL = "control.json"


def control_folder(bundle: Path) -> Path:
    """Where the control arms of a bundle lie by default: ``dist/x`` has ``dist/x.control``.

    A link to a bundle, or the folder seen from within (``.``), leads to those of the folder itself.
    """
    if bundle.is_symlink() or bundle.name in ("", ".."):
        bundle = real_path(bundle)
    return bundle.with_name(f"{bundle.name}.control")


def sums_text(digests: Mapping[str, str]) -> str:
    """The text of SHA256SUMS, as `sha256sum --check` reads it, for digests by path."""
    return "".join(f"{digest}  {path}\n" for path, digest in sorted(digests.items()))


def require_build_output(out: Path, *, keeps: tuple[Path, ...] = ()) -> None:
    """Makes sure that a bundle and its control arms can be written.

    Args:
        out: the bundle's folder.
        keeps: what must not be replaced with it, as the cache.

    Raises:
        UsageError: something else is in one of the places, or they cannot be written to.
    """
    require_replaceable(out, partial(foreign_file, MANIFEST, "a bundle"), "--out", keeps=keeps)
    require_replaceable(
        control_folder(out), partial(foreign_file, CONTROL, "a bundle"), "--out", keeps=keeps
    )


def foreign_file(head: str, kind: str, folder: Path) -> str | None:
    """What a folder holds that no build wrote; None for what `write_folder` wrote, even damaged.

    A manifest.json alone says little: web pages and browser extensions have one, too.

    Args:
        head: the file that says what the folder is.
        kind: what that is, in words.
        folder: what is looked at.
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
    return f"{others[0]} is not part of {kind}" if others else None


def sums_digest(folder: Path) -> str:
    """Names all that `write_folder` wrote into a folder: the sha256 of its SHA256SUMS."""
    return sha256_of(folder / SUMS)


def is_whole(folder: Path, head: str, state: str) -> bool:
    """Whether a folder holds what it held in a state, to the last byte, and nothing else.

    Args:
        folder: what is looked at.
        head: the file that says what the folder is.
        state: by `sums_digest`.

    Raises:
        OSError: a file is not there, or cannot be read.
    """
    sums = (folder / SUMS).read_bytes()
    if hashlib.sha256(sums).hexdigest() != state or foreign_file(head, "it", folder):
        return False
    lines = (line.partition("  ") for line in sums.decode().splitlines())
    return all(sha256_of(folder / path) == digest for digest, _, path in lines)
