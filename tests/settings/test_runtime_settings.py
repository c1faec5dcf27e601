"""What memory's favor changes in a profile."""

from __future__ import annotations

from pathlib import Path

import pytest

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


def test_a_keras_models_blocks_arrive_in_the_one_order_that_it_has(tmp_path: Path) -> None:
    head, _, _ = TINY_PROFILE.partition("[model]")
    keras = head + '[model]\nsource = "keras:blocks.py:blocks"\n[lowering]\nbackend = "litert"\n'
    settings = settings_from(keras + _MEMORY, tmp_path)
    assert (settings.runtime.favor, settings.schedule.orders) == ("memory", ("prefix",))
