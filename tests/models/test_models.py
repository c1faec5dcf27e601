"""docs/models.md says what is so; `scripts/write-models` tries all of it, on both backends."""

from __future__ import annotations

import pytest
import torch

from tests.models.page import PAGE, page, record
from tests.models.table import CASES, Case, cut, images_of, student_of


def test_the_page_says_what_was_found() -> None:
    assert page(record()) == PAGE.read_text(encoding="utf-8"), "python scripts/write-models"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_networks_are_cut_and_slimmed_as_the_page_says(case: Case) -> None:
    blocks, found, images = cut(case), record(), images_of(case)
    torch.manual_seed(0)
    whole = case.make().eval()
    with torch.no_grad():
        assert torch.equal(blocks(images), whole(images)) == found["split"][case.name]
    slim = student_of(case, blocks)
    assert (slim is not None) == found["student"][case.name]
    if slim is not None:
        assert slim(images).shape == blocks(images).shape
