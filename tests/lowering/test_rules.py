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
from tests.lowering.operator_table import BOTH, CASES, Case, inputs_of, module_of


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
