"""The name that somebody meant who wrote another one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest_name(word: str, names: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The name that a word was meant to be, if it is near to any; INT8 is int8."""
    by_folded = {name.casefold(): name for name in names}
    near = difflib.get_close_matches(word.casefold(), by_folded, n=1, cutoff=cutoff)
    return by_folded[near[0]] if near else None
