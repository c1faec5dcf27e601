"""The version of a file's schema, looked at before anything else in it is believed."""

from __future__ import annotations

from pathlib import Path

from pipeline.core.errors import UsageError


def require_schema_version(data: object, version: int, path: Path, remedy: str) -> None:
    """Makes sure that a file has the schema that this release reads.

    Args:
        data: what the file's JSON gave. What has no whole number as ``schema_version`` is left to
            the schema itself, which says what is wrong with it.
        version: that this release reads.
        path: of the file.
        remedy: what makes a file of this version out of an older one.

    Raises:
        UsageError: it has another version.
    """
    found = data.get("schema_version") if isinstance(data, dict) else None
    if not isinstance(found, int) or isinstance(found, bool) or found == version:
        return
    raise UsageError(
        f"{path} has schema version {found}; this release reads version {version}",
        remedy if found < version else f"update this tool, or {remedy}",
    )
