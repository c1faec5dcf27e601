"""Typed TOML files: closed tables, and errors that name the key and the nearest valid one."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainSerializer,
    SerializerFunctionWrapHandler,
    Tag,
    ValidationError,
    ValidationInfo,
    model_serializer,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import core_schema

from pipeline.core.errors import UsageError
from pipeline.core.nearest_name import nearest_name


@dataclass(frozen=True, slots=True)
class TextPattern:
    """How a string has to be written: an annotation whose errors are words, not the expression.

    Attributes:
        pattern: a regular expression for the whole of it, as JSON Schema has them.
        words: what it means, as in "lower-case letters and digits".
    """

    pattern: str
    words: str

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_after_validator_function(self._checked, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {**handler(schema), "pattern": self.pattern}

    def _checked(self, text: str) -> str:
        if not re.fullmatch(self.pattern, text):
            raise ValueError(f"should be {self.words}")
        return text


#: What errors say of a path of a profile that leads nowhere.
PATH_RULE = (
    "in a profile, a relative path is looked for beside the profile, then in the current folder"
)


def located(path: Path, info: ValidationInfo) -> Path:
    """Where a path of a TOML file leads: from the folder of the file, or else the current one."""
    folder: Path | None = (info.context or {}).get("folder")
    if folder is None or path.is_absolute():
        return path
    beside, here = folder / path, Path.cwd() / path
    return here if here.exists() and not beside.exists() else beside


#: A file or folder that a profile names. It is a place on one machine: in JSON, which names and
#: describes what was made of it, it is null, and what lies there is named by its content instead.
InputPath = Annotated[
    Path,
    BeforeValidator(lambda value: Path(value) if isinstance(value, str) else value),
    AfterValidator(located),
    PlainSerializer(lambda path: None, return_type=None, when_used="json"),
]


class Section(BaseModel):
    """A table of a file: immutable, closed to keys that it does not know, its numbers finite.

    TOML has words for NaN and infinity, Python's JSON reader takes them, and no limit or comparison
    means anything with them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, defer_build=True)


class SparseSection(Section):
    """A table that leaves out of its JSON what is at its default: bundles without it stay as they
    were before there was such a key.
    """

    @model_serializer(mode="wrap")
    def _without_defaults(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields = type(self).model_fields
        return {
            name: value
            for name, value in handler(self).items()
            if fields[name].is_required() or getattr(self, name) != fields[name].default
        }


S = TypeVar("S", bound=Section)


def load_toml(path: Path, kind: type[S]) -> S:
    """Reads a TOML file into a `Section`; relative paths in it are `located`.

    Raises:
        UsageError: the file is missing, is no TOML, or holds wrong keys or values; all are named.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file", "check the path") from None
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}", "name a TOML file") from None
    try:
        table = tomllib.loads(text_of(data, path))
        given = _with_tuples(table)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path}: not a TOML file: {error}", "correct the line named") from None
    except RecursionError:
        raise UsageError(f"{path}: lists in lists without end", "write it anew") from None
    try:
        # Strictly: `true` is no 1, "3" no number, and nobody meant 3.0 epochs.
        folder = path.parent.absolute()
        return kind.model_validate(given, strict=True, context={"folder": folder})
    except ValidationError as error:
        found = error.errors()
        # An entry that is wrong does not count; that a list lacks it then says nothing more.
        holders = {problem["loc"][:end] for problem in found for end in range(len(problem["loc"]))}
        problems = [
            _explain(kind, problem)
            for problem in found
            if not (problem["type"] == "too_short" and problem["loc"] in holders)
        ]
        count = f"{len(problems)} wrong settings" if len(problems) > 1 else "a wrong setting"
        raise UsageError(
            f"{path}: {count}\n  " + "\n  ".join(problems),
            "correct what is named above; the files in profiles/ are working examples",
        ) from None


def _with_tuples(value: Any) -> Any:
    """A value of TOML with its lists as what they become: strictly, no list is a tuple."""
    if isinstance(value, dict):
        return {key: _with_tuples(inner) for key, inner in value.items()}
    return tuple(map(_with_tuples, value)) if isinstance(value, list) else value


def text_of(data: bytes, path: Path) -> str:
    """The text of a file in UTF-8, with or without a byte-order mark, as some editors write it.

    Raises:
        UsageError: it is in another encoding, which is named where it shows.
    """
    for name, marks in _MARKS.items():
        if data.startswith(marks):
            raise UsageError(f"{path}: is written in {name}", _AS_UTF8)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        found = data[error.start : error.start + 1].hex()
        raise UsageError(
            f"{path}: line {line} is not UTF-8 text (byte 0x{found}): perhaps it is written in "
            "Latin-1 or Windows-1252, or is no text at all",
            _AS_UTF8,
        ) from None
    if "\0" in text:
        raise UsageError(
            f"{path}: holds zero bytes: it is written in UTF-16 without a mark, or is no text",
            _AS_UTF8,
        )
    return text


_AS_UTF8 = "save it as UTF-8 (in an editor: save with encoding; or: iconv -t UTF-8)"
#: Both of UTF-32's begin or could begin as those of UTF-16 do, and stand first.
_MARKS = {
    "UTF-32": (b"\xff\xfe\0\0", b"\0\0\xfe\xff"),
    "UTF-16": (b"\xff\xfe", b"\xfe\xff"),
}


def _explain(kind: type[BaseModel], problem: Any) -> str:
    """One line for one problem found by pydantic: dotted key, what is wrong, the nearest name."""
    location: Sequence[str | int] = problem["loc"]
    unknown = problem["type"] == "extra_forbidden"
    keys, sections = _walk(kind, location[:-1] if unknown else location)
    if unknown:
        fields = [item for section in sections for item in section.model_fields.items()]
        names = sorted({field.alias or name for name, field in fields})
        near = nearest_name(str(location[-1]), names, cutoff=0.5)
        hint = f"did you mean {near!r}?" if near else f"known here: {', '.join(names)}"
        return f"{'.'.join([*keys, str(location[-1])])}: unknown key; {hint}"
    message = str(problem["msg"]).removeprefix("Value error, ")
    got = problem["input"]
    match problem["type"]:  # where pydantic speaks of Python
        case "tuple_type":
            message = "input should be a list"
        case "too_short":
            message = f"at least {problem['ctx']['min_length']} entry is needed"
        case "union_tag_invalid":
            keys.append(problem["ctx"]["discriminator"].strip("'"))
            message = f"input should be one of {problem['ctx']['expected_tags']}"
            got = problem["ctx"]["tag"]
        case "union_tag_not_found":
            keys.append(problem["ctx"]["discriminator"].strip("'"))
            message = "field required"
        case "model_type" | "model_attributes_type":
            message = "input should be a table"
        case "literal_error":
            names = re.findall(r"'([^']+)'", problem["ctx"]["expected"])
            if near := nearest_name(str(got), names):
                message += f"; did you mean {near!r}?"
    shown = f" (got {got!r})" if isinstance(got, str | int | float | bool) else ""
    return f"{'.'.join(keys) or 'the file'}: {message[0].lower()}{message[1:]}{shown}"


def _walk(
    kind: type[BaseModel], location: Sequence[str | int]
) -> tuple[list[str], list[type[BaseModel]]]:
    """The keys that a user wrote on the way to a location, and the sections it may be in.

    pydantic puts the tag of a discriminated union into a location as if it were a key.
    """
    keys: list[str] = []
    sections: list[type[BaseModel]] = [kind]
    tags: dict[str, type[BaseModel]] = {}
    for part in location:
        if str(part).startswith("literal["):  # of a union of literals
            continue
        if part in tags:
            sections, tags = [tags[str(part)]], {}
            continue
        fields = [s.model_fields[part] for s in sections if part in s.model_fields]
        tagged = [section for section in sections if part in _tags(section)]
        if fields:
            keys.append(str(part))
            sections = [found for field in fields for found in _sections_in(field.annotation)]
            tags = {tag: found for field in fields for tag, found in _tagged_in(field.annotation)}
        elif tagged:
            sections = tagged
        else:
            keys.append(str(part))
    return keys, sections


def _tags(section: type[BaseModel]) -> set[object]:
    return {
        value
        for field in section.model_fields.values()
        if get_origin(field.annotation) is Literal
        for value in get_args(field.annotation)
    }


def _tagged_in(annotation: object) -> list[tuple[str, type[BaseModel]]]:
    """The members of a union that carry a pydantic `Tag`."""
    parts = get_args(annotation)
    tags = [part.tag for part in parts if isinstance(part, Tag)]
    if tags:
        return [(tags[0], section) for section in _sections_in(parts[0])]
    return [found for part in parts for found in _tagged_in(part)]


def _sections_in(annotation: object) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for part in get_args(annotation) for found in _sections_in(part)]
