"""Maps as linear layers read them, ``[n, h, w, c]`` or as tokens ``[n, h * w, c]``, in units."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from executorch.exir import EdgeProgramManager
from torch import Tensor, nn

from pipeline.evaluation.parity import Parity
from pipeline.lowering.backend import Program
from pipeline.lowering.capture import capture
from pipeline.lowering.executorch import backend as executorch
from pipeline.lowering.graph import OperatorGraph, operators_of
from pipeline.lowering.litert.rules import RULES
from pipeline.lowering.precision import Quantization
from pipeline.lowering.registry import backend_for
from pipeline.lowering.rewrite import rewritten
from pipeline.settings import BackendName, LoweringSettings, Precision


class Decoder(nn.Module):
    """Reads a map and a smaller one as tokens, and joins what it makes of them, as SegFormer's."""

    def __init__(self) -> None:
        super().__init__()
        self.smaller = nn.Conv2d(8, 16, 3, stride=2, padding=1)
        self.projections = nn.ModuleList([nn.Linear(8, 12), nn.Linear(16, 12)])
        self.classifier = nn.Conv2d(24, 4, 1)

    def forward(self, features: Tensor) -> Tensor:
        maps = [features, self.smaller(features)]
        joined = []
        for each, projection in zip(maps, self.projections, strict=True):
            count, _, height, width = each.shape
            tokens = projection(each.flatten(2).transpose(1, 2))
            again = tokens.permute(0, 2, 1).reshape(count, -1, height, width)
            joined.append(F.interpolate(again, features.shape[2:], mode="bilinear"))
        logits: Tensor = self.classifier(torch.cat(joined, 1))
        return logits


class Permuted(nn.Module):
    """A linear layer of a map, which a permutation gives back as an image."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Linear(8, 8)

    def forward(self, features: Tensor) -> Tensor:
        mixed: Tensor = self.mix(features.movedim(1, 3))
        return mixed.movedim(3, 1)


class Mixer(Permuted):
    """A map and what a linear layer adds to it."""

    def forward(self, features: Tensor) -> Tensor:
        return features + super().forward(features)


def lowered(
    module: nn.Module, features: Tensor, backend: BackendName, recipe: Precision | None = None
) -> tuple[Program, Parity]:
    """A unit's program, and its parity on one input."""
    made = backend_for(LoweringSettings(backend=(backend,)))
    captured = capture(module.eval(), features, "unit")
    quantization = Quantization(recipe, features) if recipe else None
    program = made.lower(captured, features, "unit", quantization)
    with torch.no_grad():
        reference = module(features).numpy()
    return program, Parity.of(made.run([program.data], features).numpy(), reference)


def test_a_decoder_that_reads_maps_as_tokens_is_whole_on_litert() -> None:
    torch.manual_seed(0)
    program, parity = lowered(Decoder(), torch.randn(1, 8, 6, 4), "litert")
    assert "TRANSPOSE" not in program.operators
    assert parity.max_rel < 1e-5


class Turned(nn.Module):
    """Tokens of a map that are not its pixels, or in another order than they are."""

    def forward(self, features: Tensor) -> Tensor:
        columns = features.transpose(2, 3).reshape(1, 8, 24).permute(0, 2, 1)
        groups = features.reshape(1, 4, 48).transpose(1, 2).reshape(1, 24, 8)
        return (columns + groups).transpose(1, 2).reshape(1, 4, 8, 6)


@pytest.mark.parametrize("module", [Decoder(), Turned()], ids=["as tokens", "otherwise"])
@torch.no_grad()
def test_maps_as_tokens_are_the_same_by_litert_s_rules(module: nn.Module) -> None:
    features = torch.randn(1, 8, 6, 4)
    graph = operators_of(capture(module.eval(), features, "unit"))
    changed = rewritten(graph, RULES, features)
    torch.testing.assert_close(changed(features), module(features))


@pytest.mark.parametrize("recipe", ["dynamic_wi8_afp32", "static_wi8_ai8"])
def test_linear_layers_of_maps_run_in_int8_on_executorch(recipe: Precision) -> None:
    torch.manual_seed(0)
    program, parity = lowered(Mixer(), torch.randn(1, 8, 6, 4), "executorch", recipe)
    assert program.operators["dequantize_per_channel"] == 1
    assert parity.sqnr_db > 25


def test_a_unit_that_ends_with_a_permutation_is_lowered_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[bool] = []
    delegated = executorch._delegated

    def count(
        edges: executorch._Edges, example: Tensor, graph: OperatorGraph
    ) -> EdgeProgramManager:
        made.append(edges.reorders)
        return delegated(edges, example, graph)

    torch.manual_seed(0)
    module, features = Permuted().eval(), torch.randn(1, 8, 6, 4)
    monkeypatch.setattr(executorch, "_delegated", count)
    program, parity = lowered(module, features, "executorch")
    assert made == [True]
    assert parity.max_rel < 1e-5
    # What was overlooked is lowered again, into the same program.
    made.clear()
    monkeypatch.setattr(executorch, "_ordered_by_views", lambda *_: False)
    assert lowered(module, features, "executorch")[0] == program
    assert made == [False, True]
