"""Writes what a Gradle project takes of a bundle: asset packs, their scripts, and a README.

Programs and loading plan ship; golden answers, evaluation images and control arms do not.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.bundle.asset_packs import AssetPack, asset_packs
from pipeline.bundle.gradle import pack_script, readme
from pipeline.bundle.layout import MANIFEST, foreign_file
from pipeline.bundle.loading_plan import LOADING_PLAN
from pipeline.bundle.pack import FileContent, copied_to, entry_for, write_folder
from pipeline.core.atomic_files import replacing_folder
from pipeline.core.outputs import require_replaceable

if TYPE_CHECKING:
    from pipeline.bundle.artifact import FileEntry
    from pipeline.bundle.verify import Bundle
    from pipeline.settings.android_settings import AndroidSettings

#: What is in each pack, for programs; it marks the tree as one that was written here.
PACKS = "packs.json"


def require_android_output(out: Path, *, keeps: tuple[Path, ...] = ()) -> None:
    """Makes sure that a tree can be written.

    Args:
        out: the folder; an earlier tree there would be replaced.
        keeps: what must not be replaced with it, as the bundle.

    Raises:
        UsageError: something else is there, or it cannot be written to.
    """
    require_replaceable(
        out, partial(foreign_file, PACKS, "a tree of packs"), "--android", keeps=keeps
    )


def write_android(bundle: Bundle, settings: AndroidSettings, out: Path) -> tuple[AssetPack, ...]:
    """Writes the tree, and gives its packs in the order in which they are needed.

    The same bundle and settings give the same bytes.

    Args:
        bundle: what ships.
        settings: how it is delivered.
        out: the folder; an earlier tree there is replaced in one move.

    Raises:
        UsageError: `out` is something else than such a tree, and is left alone.
        IntegrityError: a file of the bundle changed meanwhile.
    """
    require_android_output(out, keeps=(bundle.root,))
    packs = asset_packs(bundle.manifest, settings)
    entries: list[FileEntry] = []
    contents: dict[str, FileContent] = {}
    sizes: dict[str, int] = {}
    for pack in packs:
        assets = _assets(bundle, pack, settings.name)
        sizes[pack.name] = sum(entry.bytes for entry, _ in assets)
        for entry, content in assets:
            entries.append(entry)
            contents[entry.path] = content
    texts = {"README.md": readme(bundle.manifest.name, settings.name, packs, sizes)}
    if settings.delivery != "base":
        texts |= {f"{pack.name}/build.gradle.kts": pack_script(pack) for pack in packs}
    for path, text in texts.items():
        contents[path] = text.encode()
        entries.append(entry_for(path, contents[path]))
    head = _packs_json(bundle, settings, packs, sizes)
    with replacing_folder(out) as folder:
        write_folder(folder, PACKS, head, entries, contents)
    return packs


def _assets(bundle: Bundle, pack: AssetPack, folder: str) -> list[tuple[FileEntry, Path]]:
    """The files of a pack as they lie in the tree, with the bundle's sums, and where they are."""
    manifest = bundle.manifest
    files: list[FileEntry] = [manifest.artifact(unit) for unit in pack.units]
    if pack.stage == 0:
        files = [manifest.loading_plan, entry_for(MANIFEST, bundle.root / MANIFEST), *files]
    place = "assets" if pack.delivery == "base" else f"{pack.name}/src/main/assets"
    return [
        (copied_to(f"{place}/{folder}/{file.path}", file), bundle.root / file.path)
        for file in files
    ]


def _packs_json(
    bundle: Bundle, settings: AndroidSettings, packs: Sequence[AssetPack], sizes: dict[str, int]
) -> str:
    content = {
        "schema_version": 1,
        "bundle": bundle.manifest.id,
        "folder": settings.name,
        "plan": f"{settings.name}/{LOADING_PLAN}",
        "packs": [
            {
                "name": pack.name,
                "delivery": pack.delivery,
                "stage": pack.stage,
                "bytes": sizes[pack.name],
                "units": list(pack.units),
            }
            for pack in packs
        ],
    }
    return json.dumps(content, indent=1) + "\n"
