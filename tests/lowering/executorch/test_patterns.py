from __future__ import annotations

import pytest
import torch
from executorch.backends.xnnpack.partition.graphs import bilinear_2d, sdpa
from torch import fx

from pipeline.lowering.executorch.patterns import matching_patterns


class MadeError(Exception):
    """The examples were exported."""


@pytest.fixture(autouse=True)
def _examples_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    def made() -> None:
        raise MadeError

    monkeypatch.setattr(sdpa, "get_graphs", made)
    monkeypatch.setattr(bilinear_2d, "get_graphs_dict", made)


@pytest.mark.parametrize(
    ("operator", "attention", "bilinear"),
    [
        (torch.ops.aten.relu.default, False, False),
        (torch.ops.aten.scaled_dot_product_attention.default, True, False),
        (torch.ops.aten.upsample_bilinear2d.vec, False, True),
    ],
)
def test_only_patterns_of_operators_that_a_graph_has_are_made(
    operator: torch._ops.OpOverload, attention: bool, bilinear: bool
) -> None:
    graph = fx.Graph()
    graph.output(graph.call_function(operator, (graph.placeholder("x"),)))
    with matching_patterns(fx.GraphModule({}, graph)):
        for ask, wanted in ((sdpa.get_graphs, attention), (bilinear_2d.get_graphs_dict, bilinear)):
            if wanted:
                with pytest.raises(MadeError):
                    ask()
            else:
                assert len(ask()) == 0
    with pytest.raises(MadeError):
        sdpa.get_graphs()
    with pytest.raises(MadeError):
        bilinear_2d.get_graphs_dict()
