"""Rewritten operators compute the same function, before any backend sees them."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

import pytest
import torch

from pipeline.lowering.capture import capture
from pipeline.lowering.graph import operators_of
from pipeline.lowering.rewrite import Rules, rewritten
from pipeline.lowering.rules.sequence import in_images
from tests.lowering.operator_table import BOTH, CASES, Case, Function, inputs_of, module_of


def rules_of(backend: str) -> tuple[Rules, Rules]:
    """Those of signals, which come first, and all others."""
    found = import_module(f"pipeline.lowering.{backend}.rules")
    return found.SIGNAL_RULES, found.RULES


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@torch.no_grad()
def test_a_rewritten_operator_computes_the_same_at_extremes_too(case: Case) -> None:
    module, inputs = module_of(case), inputs_of(case)
    graph = operators_of(capture(module, inputs[:1], "unit"))
    expected = torch.cat([module(item) for item in inputs.split(1)])
    largest = expected.flatten(1).abs().amax(1)
    for backend in BOTH:
        first, others = rules_of(backend)
        changed = rewritten(in_images(graph, first, inputs[:1]), others, inputs[:1])
        outputs = torch.cat([changed(item) for item in inputs.split(1)])
        assert outputs.shape == expected.shape
        # Each input by itself: small ones must not hide behind large ones.
        far = (outputs - expected).flatten(1).abs().amax(1)
        assert (far <= 3e-6 * largest).all(), (backend, far / largest)


@pytest.mark.parametrize(
    "turned", [lambda x: x.transpose(1, 2), lambda x: x.permute(0, 2, 1, 3, 4)]
)
@torch.no_grad()
def test_shuffled_channels_are_the_last_axis_on_litert(
    turned: Callable[[torch.Tensor], torch.Tensor],
) -> None:
    class Shuffled(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            count, channels, height, width = x.shape
            parts = turned(x.view(count, 3, channels // 3, height, width))
            return parts.contiguous().view(count, channels, height, width)

    images = torch.randn(1, 12, 5, 4)
    graph = operators_of(capture(Shuffled().eval(), images, "unit"))
    changed = rewritten(graph, rules_of("litert")[1], images)
    assert torch.equal(changed(images), Shuffled()(images))
    assert "[1, 5, 4, 3, 4]" in changed.code  # groups, then what is in them, behind the pixels


def names_of(function: Callable[[torch.Tensor], torch.Tensor], backend: str) -> set[str]:
    """The operators of a function of tokens, as a backend's rules leave them."""
    tokens = torch.randn(1, 6, 12)
    graph = operators_of(capture(Function(function).eval(), tokens, "unit"))
    calls = rewritten(graph, rules_of(backend)[1], tokens).calls()
    return {str(getattr(node.target, "__name__", node.target)) for node, _ in calls}


def test_litert_copies_an_expanded_tensor_only_for_those_that_do_not_spread_it() -> None:
    assert "cat" not in names_of(lambda x: x * x[:, :1].expand_as(x), "litert")
    assert "cat" in names_of(lambda x: x[:, :1].expand_as(x).relu(), "litert")


@pytest.mark.parametrize(
    ("function", "whole"),
    [
        (lambda x: 0.5 * x * (1 + torch.erf(x / 2**0.5)), True),
        (lambda x: 0.5 * x * (1 + torch.erf(x / 2)), False),
        (lambda x: 0.4 * x * (1 + torch.erf(x / 2**0.5)), False),
        (lambda x: 0.5 * x.abs() * (1 + torch.erf(x / 2**0.5)), False),
        (lambda x: 0.5 * x * (2 + torch.erf(x / 2**0.5)), False),
    ],
)
def test_gelu_s_formula_alone_is_gelu_on_executorch(
    function: Callable[[torch.Tensor], torch.Tensor], whole: bool
) -> None:
    names = names_of(function, "executorch")
    assert ("gelu" in names, "erf.default" in names) == (whole, not whole)
