"""What memory's favor changes in a profile."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.core.errors import UsageError
from tests.fixtures import TINY_PROFILE, settings_from

_MEMORY = '\n[runtime]\nfavor = "memory"\n'


@pytest.mark.parametrize(
    ("more", "orders"),
    [
        ("", ("prefix",)),
        ('\n[runtime]\nfavor = "accuracy"\n', ("prefix",)),
        (_MEMORY, ("largest",)),
        (f'{_MEMORY}[schedule]\norders = ["suffix"]\n', ("suffix",)),
        (f'{_MEMORY}[schedule]\nstages = "all"\n', ("largest",)),
    ],
)
def test_memory_has_the_largest_block_first_unless_another_order_is_given(
    more: str, orders: tuple[str, ...], tmp_path: Path
) -> None:
    without = TINY_PROFILE.partition("[schedule]")[0]
    assert "[runtime]" not in without
    assert settings_from(without + more, tmp_path).schedule.orders == orders


@pytest.mark.parametrize(
    ("more", "loaders"),
    [
        ("", 1),
        ("loaders = 2", 2),
        ('loaders = "auto"', "auto"),
        (f'{_MEMORY}loaders = "auto"', "auto"),
    ],
)
def test_one_thread_loads_unless_others_are_asked_for(
    more: str, loaders: int | str, tmp_path: Path
) -> None:
    table = more if _MEMORY in more else f"\n[runtime]\n{more}"
    settings = settings_from(TINY_PROFILE.partition("[schedule]")[0] + table, tmp_path)
    assert settings.runtime.loaders == loaders


def test_two_threads_do_not_load_where_memory_is_favored(tmp_path: Path) -> None:
    text = TINY_PROFILE.partition("[schedule]")[0] + _MEMORY + "loaders = 2\n"
    with pytest.raises(UsageError, match="loaders = 1, or favor"):
        settings_from(text, tmp_path)


def test_a_keras_models_blocks_arrive_in_the_one_order_that_it_has(tmp_path: Path) -> None:
    head, _, _ = TINY_PROFILE.partition("[model]")
    keras = head + '[model]\nsource = "keras:blocks.py:blocks"\n[lowering]\nbackend = "litert"\n'
    settings = settings_from(keras + _MEMORY, tmp_path)
    assert (settings.runtime.favor, settings.schedule.orders) == ("memory", ("prefix",))
