"""Reads bundles and says, for a damaged one, everything that is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from pipeline.bundle.artifact import FileEntry
from pipeline.bundle.contents import content_problems
from pipeline.bundle.control import Controls
from pipeline.bundle.layout import CONTROL, MANIFEST, SUMS, sums_text
from pipeline.bundle.manifest import SCHEMA_VERSION, Manifest
from pipeline.bundle.manifest_consistency import control_contradictions
from pipeline.core.atomic_files import sha256_of
from pipeline.core.errors import IntegrityError, UsageError
from pipeline.core.schema_version import require_schema_version
from pipeline.core.toml_file import Section

S = TypeVar("S", bound=Section)


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle on this machine's disk whose every byte has been checked."""

    root: Path
    manifest: Manifest


def open_bundle(root: Path) -> Bundle:
    """Reads and checks a bundle.

    Raises:
        UsageError: there is no bundle in that folder.
        IntegrityError: it is damaged; names every file that is wrong and how.
    """
    manifest = _read(root, MANIFEST, Manifest)
    problems: list[str] = []
    if manifest.id != manifest.content_id():
        problems.append(
            f"{MANIFEST}: its content has the id {manifest.content_id()[:12]}, not its own"
        )
    problems += _check(root, MANIFEST, manifest.files())
    if not problems:  # damage says more than what it leads to
        problems += content_problems(root, manifest)
    _refuse(root, problems, "build the bundle again")
    return Bundle(root, manifest)


def open_controls(root: Path, bundle: Manifest) -> Controls:
    """Reads and checks the control arms of a bundle.

    Raises:
        UsageError: there are none in that folder, or they belong to another bundle.
        IntegrityError: they are damaged.
    """
    if not root.exists():
        raise UsageError(
            f"{root}: no such folder, where the bundle's control arms should be",
            "a bundle is built, and copied, with its control arms beside it; --control names "
            "another folder",
        )
    controls = _read(root, CONTROL, Controls)
    if controls.bundle != bundle.id:
        raise UsageError(
            f"{root} holds the control arms of bundle {controls.bundle[:12]}, "
            f"not of {bundle.id[:12]}",
            "build again, so that both come from the same model",
        )
    problems = [f"{CONTROL}: {line}" for line in control_contradictions(controls, bundle)]
    _refuse(root, problems + _check(root, CONTROL, controls.files()), "build again")
    return controls


def _read(root: Path, head: str, kind: type[S]) -> S:
    path = root / head
    if not root.is_dir():
        what = "is no folder" if root.exists() else "no such folder"
        raise UsageError(f"{root}: {what}", "build a bundle first: python -m pipeline.build")
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UsageError(
            f"{root} has no {head}", "name a folder that python -m pipeline.build wrote"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise IntegrityError(f"{path}: cannot be read: {error}", "build again") from None
    try:
        data = json.loads(text)
        require_schema_version(data, SCHEMA_VERSION, path, "build it again with this release")
        return kind.model_validate(data)
    except ValidationError as error:
        lines = [
            f"{'.'.join(map(str, problem['loc'])) or head}: "
            + problem["msg"].removeprefix("Value error, ").replace("; ", "\n  ")
            for problem in error.errors()[:12]
        ]
        raise IntegrityError(
            f"{path} is not valid:\n  " + "\n  ".join(lines), "build again"
        ) from None
    except (ValueError, RecursionError) as error:
        raise IntegrityError(f"{path} is not JSON: {error}", "build again") from None


def _check(root: Path, head: str, entries: Iterable[FileEntry]) -> list[str]:
    """What is wrong with the files of a folder, a line each."""
    problems: list[str] = []
    expected = {entry.path: entry for entry in entries}
    by_digest = {entry.sha256: path for path, entry in expected.items()}
    for path, entry in expected.items():
        file = root / path
        if not file.is_file():
            problems.append(f"{path}: missing" if not file.exists() else f"{path}: not a file")
            continue
        try:
            size, digest = file.stat().st_size, sha256_of(file)
        except OSError as error:
            problems.append(f"{path}: cannot be read: {error.strerror}")
            continue
        if digest == entry.sha256 and size == entry.bytes:
            continue
        if digest != entry.sha256 and digest in by_digest:
            problems.append(f"{path}: holds the content of {by_digest[digest]}")
        elif size != entry.bytes:
            problems.append(f"{path}: {size} bytes, should be {entry.bytes}")
        else:
            problems.append(
                f"{path}: damaged (sha256 {digest[:12]}, should be {entry.sha256[:12]})"
            )
    problems += _check_sums(root, head, expected)
    known = {*expected, head, SUMS}
    present = {str(p.relative_to(root)) for p in root.rglob("*") if p.is_file() or p.is_symlink()}
    problems += [f"{path}: does not belong to it" for path in sorted(present - known)]
    return problems


def _check_sums(root: Path, head: str, expected: dict[str, FileEntry]) -> list[str]:
    wanted = {path: entry.sha256 for path, entry in expected.items()}
    wanted[head] = sha256_of(root / head)
    try:
        text = (root / SUMS).read_text(encoding="utf-8")
    except FileNotFoundError:
        return [f"{SUMS}: missing"]
    except (OSError, UnicodeDecodeError) as error:
        return [f"{SUMS}: cannot be read: {error}"]
    if text == sums_text(wanted):
        return []
    listed = {
        path: digest for digest, _, path in (line.partition("  ") for line in text.split("\n"))
    }
    differing = sorted(path for path in wanted if listed.get(path) != wanted[path])
    return [f"{SUMS}: does not agree with the folder on {', '.join(differing) or 'its own text'}"]


def _refuse(root: Path, problems: list[str], remedy: str) -> None:
    if problems:
        count = "a problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise IntegrityError(f"{root}: {count}\n  " + "\n  ".join(problems), remedy)
