"""Numbers as people read them."""

from __future__ import annotations

import pytest

from pipeline.core.formatting import counted


@pytest.mark.parametrize(("number", "words"), [(0, "0 rounds"), (1, "1 round"), (15, "15 rounds")])
def test_one_thing_is_told_in_the_singular(number: int, words: str) -> None:
    assert counted(number, "round") == words
