"""docs/profile.md: every table and key of a profile, generated from the types that read it.

What a key means stands in its class's docstring, below ``Attributes:``; a base class's holds for
those derived from it. Nothing here names a table or a key: a new one appears by itself.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, WithJsonSchema
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from pipeline.core.toml_file import Section, TextPattern
from pipeline.settings.profile_file import Settings

HEAD = """# Profiles

<!-- Written by scripts/write-schemas from the docstrings in pipeline/settings: edit those. -->

A profile is a TOML file that says what to build: `python -m pipeline.build PROFILE`. Those in
[profiles/](../profiles) are working examples. A key that is not listed here is an error, as is a
wrong value; the message names both. A default of `-` means: left out.

A relative path is looked for beside the profile, then in the current folder.
"""


def profile_page() -> str:
    """The whole page, in Markdown."""
    keys = {name: f for name, f in Settings.model_fields.items() if not sections_in(f.annotation)}
    parts = [HEAD, "## Before all tables", _table(Settings, keys)]
    for name, field in Settings.model_fields.items():
        if sections_in(field.annotation):
            parts += _section(name, field, meanings(Settings).get(name, ""), 2)
    return "\n\n".join(part.strip() for part in parts) + "\n"


def meanings(section: type[BaseModel]) -> dict[str, str]:
    """What each key of a section means, by its docstring and those of its bases, on one line."""
    found: dict[str, str] = {}
    for kind in reversed(section.__mro__):
        if not (isinstance(kind, type) and issubclass(kind, Section)):
            continue
        _, _, listed = inspect.cleandoc(kind.__doc__ or "").partition("Attributes:\n")
        names: list[str] = []
        for line in listed.splitlines():
            if entry := re.match(r" {4}(\w+(?:, \w+)*): (.*)", line):
                names = entry[1].split(", ")
                found |= dict.fromkeys(names, entry[2].strip())
            elif line.startswith(" " * 8):
                found |= {name: f"{found[name]} {line.strip()}" for name in names}
            elif line.strip():
                break  # another paragraph than the attributes'
    return found


def sections_in(annotation: Any) -> list[type[BaseModel]]:
    """The tables that a value may be, in the order in which they are named."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for part in get_args(annotation) for found in sections_in(part)]


def _section(path: str, field: FieldInfo, meaning: str, level: int) -> Iterator[str]:
    kinds = sections_in(field.annotation)
    many = get_origin(field.annotation) is tuple
    optional = "" if field.is_required() else " (may be left out)"
    title = f"`[[{path}]]` (any number)" if many else f"`[{path}]`{optional}"
    yield f"{'#' * level} {title}"
    if meaning and len(kinds) > 1:
        yield f"{_sentence(meaning)} One of these forms:"
    for kind in kinds:
        if len(kinds) > 1:
            yield f"{'#' * (level + 1)} `[{path}]` with {_mark(kind)}"
        yield from _form(path, kind, level + (len(kinds) > 1))


def _form(path: str, kind: type[BaseModel], level: int) -> Iterator[str]:
    yield _plain(inspect.cleandoc(kind.__doc__ or "").partition("Attributes:\n")[0])
    keys = {
        name: field
        for name, field in kind.model_fields.items()
        if not sections_in(field.annotation) and not _is_mark(field)
    }
    if keys:
        yield _table(kind, keys)
    described: dict[tuple[type[BaseModel], ...], str] = {}
    for name, field in kind.model_fields.items():
        if inner := tuple(sections_in(field.annotation)):
            if inner in described:
                yield f"`[{path}.{name}]` has the same keys as `[{path}.{described[inner]}]`."
                continue
            described[inner] = name
            yield from _section(f"{path}.{name}", field, meanings(kind).get(name, ""), level + 1)


def _mark(kind: type[BaseModel]) -> str:
    """The key and value that tell a form of a table from the others."""
    for name, field in kind.model_fields.items():
        if _is_mark(field):
            return f"`{field.alias or name} = {_toml(get_args(field.annotation)[0])}`"
    name, field = next(iter(kind.model_fields.items()))
    return f"`{field.alias or name}`"


def _is_mark(field: FieldInfo) -> bool:
    one_value = get_origin(field.annotation) is Literal and len(get_args(field.annotation)) == 1
    return one_value and field.is_required()


def _table(section: type[BaseModel], fields: dict[str, FieldInfo]) -> str:
    meaning = meanings(section)
    lines = ["| key | type | default | meaning |", "|---|---|---|---|"]
    for name, field in fields.items():
        kind = _type(field.annotation, field.metadata)
        cells = (f"`{field.alias or name}`", kind, _default(field), _plain(meaning.get(name, "")))
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    default = field.get_default(call_default_factory=True)
    if default is None or default is PydanticUndefined:
        return "-"
    return f"`{_toml(default)}`"


def _toml(value: Any) -> str:
    """A value as a profile writes it."""
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value, ensure_ascii=False, default=str)


def _type(annotation: Any, limits: list[Any] | tuple[Any, ...] = ()) -> str:
    """The values of a key in words."""
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(args[0], [*args[1:], *limits])
    if origin in (Union, UnionType):
        return " or ".join(_type(part, limits) for part in args if part is not NoneType)
    if origin is Literal:
        return ", ".join(f"`{_toml(value)}`" for value in args)
    if origin in (tuple, list):
        return f"list of: {_type(args[0])}"
    for limit in limits:
        if isinstance(limit, TextPattern):
            return limit.words
        if isinstance(limit, WithJsonSchema) and limit.json_schema:
            return ", ".join(f"`{_toml(value)}`" for value in limit.json_schema["enum"])
    return _NAMES.get(annotation, str(getattr(annotation, "__name__", annotation))) + _range(limits)


_NAMES: dict[Any, str] = {
    int: "integer",
    float: "number",
    str: "text",
    bool: "true, false",
    Path: "path",
}


def _range(limits: list[Any] | tuple[Any, ...]) -> str:
    bounds: dict[str, Any] = {}
    for limit in limits:
        for part in (limit, *getattr(limit, "metadata", ())):
            for name in ("ge", "gt", "le", "lt"):
                if (bound := getattr(part, name, None)) is not None:
                    bounds[name] = bound
    if {"ge", "le"} <= bounds.keys():
        return f", {bounds['ge']} to {bounds['le']}"
    signs = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
    return "".join(f", {sign} {bounds[name]}" for name, sign in signs.items() if name in bounds)


def _plain(text: str) -> str:
    """A docstring's text as Markdown: names in single marks, paragraphs kept."""
    return re.sub(r"``(.+?)``", r"`\1`", text).strip()


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."
