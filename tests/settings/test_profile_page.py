"""docs/profile.md is what the settings' types say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field

from pipeline.core.toml_file import InputPath, Section, TextPattern
from pipeline.settings import Settings
from pipeline.settings import profile_page as page
from pipeline.settings.profile_page import meanings, profile_page, sections_in
from tests.fixtures import ROOT


def tables(section: type[BaseModel] = Settings) -> Iterator[type[BaseModel]]:
    yield section
    for field in section.model_fields.values():
        for inner in sections_in(field.annotation):
            yield from tables(inner)


TABLES = sorted(set(tables()), key=lambda kind: kind.__name__)


def test_the_page_is_the_one_that_the_types_give() -> None:
    published = (ROOT / "docs" / "profile.md").read_text()
    assert published == profile_page(), "run python scripts/write-schemas"


@pytest.mark.parametrize("table", TABLES, ids=lambda kind: kind.__name__)
def test_every_key_says_what_it_means(table: type[BaseModel]) -> None:
    for name, field in table.model_fields.items():
        if not page._is_mark(field):
            assert meanings(table).get(name), f"{table.__name__}'s docstring has no {name}"


@pytest.mark.parametrize("table", Settings.model_fields)
def test_every_table_and_key_is_on_the_page(table: str) -> None:
    text = profile_page()
    field = Settings.model_fields[table]
    for section in sections_in(field.annotation):
        assert f"`[{table}]`" in text or f"`[[{table}]]`" in text
        for name, key in section.model_fields.items():
            expected = f"[{table}.{name}]" if sections_in(key.annotation) else f"`{name}"
            assert expected in text


class Base(Section):
    """What two tables share.

    Attributes:
        shared, also: first line
            and second.
    """

    shared: Annotated[int, Field(ge=1)] = 3
    also: bool = False


class Mine(Base):
    """A table.

    With a second paragraph.

    Attributes:
        kind: this.
        word: ``odd`` | or even.
        place: somewhere.
    """

    kind: Literal["mine"]
    word: Annotated[str, TextPattern("^[ab]+$", "a word of a and b")]
    place: InputPath | None = None
    unknown: frozenset[int] = frozenset()


def test_what_a_key_means_is_inherited_and_what_is_unknown_does_no_harm() -> None:
    said = page._table(Mine, Mine.model_fields)
    assert "| `shared` | integer, >= 1 | `3` | first line and second. |" in said
    assert "| `also` | true, false | `false` | first line and second. |" in said
    assert "| `word` | a word of a and b | required | `odd` \\| or even. |" in said
    assert "| `place` | path | - | somewhere. |" in said
    assert "| `unknown` | frozenset |" in said
    assert page._mark(Mine) == '`kind = "mine"`'
