from __future__ import annotations

import pytest
import torch
from torch import nn

from pipeline.lowering.blame import blaming, unit_refused
from pipeline.lowering.capture import capture
from pipeline.lowering.graph import OperatorGraph, Origin, operators_of
from pipeline.lowering.refusal import NotLoweredError


def graph() -> OperatorGraph:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ConvTranspose2d(4, 4, 2, groups=2), nn.ReLU())
    return operators_of(capture(module.eval(), torch.randn(1, 3, 8, 8), "unit"))


@pytest.mark.parametrize(
    ("message", "path"),
    [
        ("no lowering for aten.relu.default", "unit.2"),
        ("failed to legalize operation 'mhlo.convolution'", "unit.1"),
    ],
)
def test_what_an_exporter_raises_becomes_a_refusal_of_what_it_is_about(
    message: str, path: str
) -> None:
    with pytest.raises(NotLoweredError) as refusal, blaming(graph(), "unit", "litert"):
        raise ValueError(message)
    assert [found.path for found in refusal.value.refusals] == [path]


def test_an_operator_is_called_as_the_user_calls_it_with_the_backends_own_names_behind() -> None:
    found = [
        (Origin("teacher.blocks.0.act", "softplus"), "GREATER"),
        (Origin("teacher.blocks.0.act", "softplus"), "SELECT"),
        (Origin("teacher.blocks.1", "sign"), "SIGN"),
    ]
    error = unit_refused("teacher-0", "litert", found)
    assert [str(refusal) for refusal in error.refusals] == [
        "softplus (GREATER, SELECT) in teacher.blocks.0.act",
        "sign in teacher.blocks.1",
    ]


def test_an_operator_leads_back_to_its_origin_from_either_exporters_name_for_it() -> None:
    found = graph()
    assert (
        found.origin_of("{'L__self__steps.at1': ('module.steps.at1', 'Step')}") == found.origins[1]
    )
    fused = "OperatorGraph_module/graph.Step_at2;1;OperatorGraph_module/graph.Step_at0;"
    assert found.origin_of(fused) == found.origins[2]
    assert found.origin_of("serving_default_output_0_output") == found.origins[-1]
