from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from executorch.exir import to_edge
from executorch.exir.pass_base import ExportPass
from torch import Tensor, fx, nn

from pipeline.lowering.capture import capture
from pipeline.lowering.executorch import backend
from pipeline.lowering.executorch.retracing import traced_once


@pytest.fixture
def traces(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The passes that traced a graph."""
    passes: list[str] = []
    trace = ExportPass.call

    def call(self: ExportPass, module: fx.GraphModule) -> Any:
        passes.append(type(self).__name__)
        return trace(self, module)

    monkeypatch.setattr(ExportPass, "call", call)
    return passes


@contextmanager
def as_it_comes() -> Iterator[None]:
    yield


def test_a_unit_is_traced_less_often_into_the_same_program(
    traces: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    example = torch.rand(1, 3, 4, 4)
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten())
    unit = capture(module.append(nn.Linear(16, 2)).eval(), example, "unit")
    program = backend.ExecuTorch().lower(unit, example, "unit")
    fewer = len(traces)
    monkeypatch.setattr(backend, "traced_once", as_it_comes)
    assert backend.ExecuTorch().lower(unit, example, "unit") == program
    assert 0 < fewer < len(traces[fewer:]) * 2 // 3


class Nothing(ExportPass):
    """A pass that finds nothing to do, and traces all the same."""


class Doubles(ExportPass):
    """A pass that says how operators are traced."""

    def call_operator(self, op: Any, args: Any, kwargs: Any, meta: Any) -> Any:
        made = super().call_operator(op, args, kwargs, meta)
        return super().call_operator(op, (made, made), kwargs, meta)


def test_what_changed_is_traced(traces: list[str]) -> None:
    exported = torch.export.export(Added(), (torch.rand(2), torch.rand(2)))
    module = to_edge(exported).exported_program().graph_module
    traces.clear()
    with traced_once():
        first = Nothing()(module).graph_module
        assert Nothing()(first).graph_module is first
        assert len(traces) == 1
        added = next(node for node in first.graph.nodes if node.op == "call_function")
        added.args = added.args[::-1]
        second = Nothing()(first).graph_module
        assert second is not first
        assert len(traces) == 2
        assert len(Doubles()(second).graph_module.graph.nodes) == len(second.graph.nodes) + 1
        assert traces == ["Nothing", "Nothing", "Doubles"]


class Added(nn.Module):
    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        return left + right
