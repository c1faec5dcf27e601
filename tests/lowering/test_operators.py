"""A few operators of each topic on the backends themselves; `scripts/write-operators` tries all."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from pipeline.settings import BackendName
from tests.lowering.operator_batch import taken
from tests.lowering.operator_page import PAGE, page, record
from tests.lowering.operator_table import BOTH, CASES, EVEN, IMAGE, SIGNAL, TEXT, TOKENS, Case

#: One of each way of rewriting, and what public reports were about.
TRIED = {
    IMAGE: (
        "GELU('tanh')",
        "Mish",
        "1 - x",
        "clamp(0, 1)",
        "x.mean((-2, -1), keepdim=True)",
        "GroupNorm",
        "LayerNorm over channels",
        "MaxPool2d(ceil_mode=True)",
        "AvgPool2d(3, 2, 1)",
        "AdaptiveAvgPool2d(n)",
    ),
    EVEN: (
        "Upsample(2)",
        "Upsample(1.7, 'bilinear')",
        "PixelShuffle",
        "ReflectionPad2d",
        "x[:, :, ::2, ::2]",
        "windows by view and permute",
        "unfold",
        "expand",
    ),
    TOKENS: (
        "RMSNorm",
        "scaled_dot_product_attention",
        "scaled_dot_product_attention with a computed mask of floats",
        "scaled_dot_product_attention of one head",
        "attention by @ and softmax of one head",
        "attention of one token",
        "attention of heads that share keys",
        "cat of seven",
        "Linear over tokens",
        "LogSoftmax of vectors",
        "PReLU of vectors",
        "masked_fill by a constant mask",
        "where of a constant mask",
    ),
    SIGNAL: ("Conv1d, BatchNorm1d", "MaxPool1d(3, 2, 1)", "AvgPool1d(2)", "AdaptiveAvgPool1d(1)"),
    TEXT: ("Embedding",),
}


def cases_of(names: Sequence[str]) -> list[Case]:
    found = [case for case in CASES if case.name in names]
    assert len(found) == len(names)
    return found


def test_the_page_says_what_was_found() -> None:
    assert page(record()) == PAGE.read_text(encoding="utf-8"), "python scripts/write-operators"


@pytest.mark.parametrize("backend", BOTH)
@pytest.mark.parametrize("shape", TRIED)
def test_operators_are_lowered_whole_and_compute_the_same(
    shape: tuple[int, ...], backend: BackendName
) -> None:
    assert taken(cases_of(TRIED[shape]), backend) == dict.fromkeys(TRIED[shape], True)


@pytest.mark.parametrize("backend", BOTH)
def test_a_refusal_names_every_guilty_operator_and_no_other(backend: BackendName) -> None:
    # What it names it does not take, and what it does not name computes the same: see `taken`.
    found = taken(cases_of(["ReLU", "x + y", "sign", "atan2", "Hardshrink"]), backend)
    assert [name for name, whole in found.items() if whole] == ["ReLU", "x + y"]
