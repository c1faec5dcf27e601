"""Reports as files: read strictly, for what they decide."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from pydantic import ValidationError

from pipeline.core.errors import IntegrityError, UsageError
from pipeline.core.schema_version import require_schema_version
from pipeline.core.toml_file import Section
from pipeline.report.report_consistency import metrics_not_of_runs
from pipeline.report.schema import MOST_PROBLEMS, SCHEMA_VERSION, Report

Document = TypeVar("Document", bound=Section)


def load_report(path: Path) -> Report:
    """Reads a report.

    Raises:
        UsageError: there is none, or it was written by a newer release.
        IntegrityError: it is damaged, holds NaN or infinity, or contradicts itself.
    """
    return read_document(path, Report, SCHEMA_VERSION)


def read_document(path: Path, kind: type[Document], version: int) -> Document:
    """Reads a file of JSON that `python -m pipeline.profile` wrote.

    Args:
        path: of the file.
        kind: what it holds.
        version: of its schema, that this release reads.

    Raises:
        UsageError: there is none, or it was written by a newer release.
        IntegrityError: it is damaged, holds NaN or infinity, or contradicts itself.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        data = json.loads(
            text, parse_constant=_no_number, parse_float=_finite, object_pairs_hook=_each_key_once
        )
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file", "run python -m pipeline.profile first") from None
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", "name a report.json") from None
    except (ValueError, RecursionError) as error:
        raise IntegrityError(f"{path} is not JSON: {error}", "measure again") from None
    require_schema_version(data, version, path, "measure again with this release")
    try:
        return kind.model_validate_json(text, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise IntegrityError(
            f"{path} is no report: {where}: {first['msg']}", "name a report.json, or measure again"
        ) from None


def load_consistent_report(path: Path) -> Report:
    """Reads a report whose metrics decide something: they have to be those of its runs.

    Raises:
        UsageError: as `load_report`.
        IntegrityError: as `load_report`, or metrics were edited.
    """
    report = load_report(path)
    if problems := list(metrics_not_of_runs(report)):
        lines = "\n  ".join(problems[:MOST_PROBLEMS])
        raise IntegrityError(f"{path} contradicts itself:\n  {lines}", "measure again")
    return report


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; of two values of one key, readers of JSON take either."""
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"{next(key for key in keys if keys.count(key) > 1)!r} occurs twice")
    return found


def _finite(text: str) -> float:
    """A number; 1e999 is none that a float can hold."""
    value = float(text)
    return value if math.isfinite(value) else _no_number(text)


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number of JSON")
