"""Bundles whose files were changed and that are consistent again: wrong in content, not damaged."""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path
from typing import Any

from pipeline.bundle.artifact import FileEntry
from pipeline.bundle.control import Controls
from pipeline.bundle.layout import CONTROL, MANIFEST, SUMS, control_folder, sums_text
from pipeline.bundle.loading_plan import LOADING_PLAN, loading_plan_of
from pipeline.bundle.manifest import Manifest
from pipeline.bundle.pack import entry_for
from pipeline.bundle.verify import Bundle
from pipeline.core.atomic_files import sha256_of


def reseal(root: Path) -> Bundle:
    """Describes a bundle and its control arms as they now are."""
    head = json.loads((root / MANIFEST).read_text())
    _renew(head, root)
    del head["id"]
    plan = loading_plan_of(Manifest.seal(**head))
    (root / LOADING_PLAN).write_text(plan)
    _renew(head, root)
    manifest = Manifest.seal(**head)
    (root / MANIFEST).write_text(manifest.to_json())
    _write_sums(root, MANIFEST, [*manifest.files()])
    arms = control_folder(root)
    controls = Controls.model_validate_json((arms / CONTROL).read_text())
    controls = controls.model_copy(update={"bundle": manifest.id})
    (arms / CONTROL).write_text(controls.to_json())
    _write_sums(arms, CONTROL, [*controls.files()])
    return Bundle(root, manifest)


def fill_with_nan(program: Path) -> None:
    """Makes a NaN of every 32 bits of a program that can be a weight and nothing else.

    Sizes and offsets, read as floats, are far smaller; text is far larger.
    """
    data = bytearray(program.read_bytes())
    for at in range(0, len(data) - 3, 4):
        (value,) = struct.unpack_from("<f", data, at)
        if 1e-5 < abs(value) < 100 and not re.fullmatch(rb"[\x20-\x7e]{4}", data[at : at + 4]):
            struct.pack_into("<f", data, at, float("nan"))
    program.write_bytes(data)


def _renew(value: Any, root: Path) -> None:
    """Size and digest of every file entry, however deep it stands."""
    if isinstance(value, list):
        for each in value:
            _renew(each, root)
    elif isinstance(value, dict):
        if {"path", "bytes", "sha256"} <= value.keys():
            value.update(entry_for(value["path"], root / value["path"]).model_dump())
        for each in value.values():
            _renew(each, root)


def _write_sums(root: Path, head: str, entries: list[FileEntry]) -> None:
    digests = {entry.path: entry.sha256 for entry in entries} | {head: sha256_of(root / head)}
    (root / SUMS).write_text(sums_text(digests))
