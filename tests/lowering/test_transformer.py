from __future__ import annotations

import pytest
import torch
from torch import nn

from pipeline.errors import UsageError
from pipeline.lowering.executorch import ExecuTorch
from pipeline.lowering.fold import fold_batch_norms
from pipeline.lowering.store import content_key
from pipeline.lowering.transformer import without_transformer_operators
from pipeline.model.family import build_model
from pipeline.model.vit import Attention, ClassTokenLinear, EncoderLayer, PatchEmbedding
from pipeline.settings import VitModel, VitSettings


def spread(module: nn.Module) -> nn.Module:
    """Gives every parameter values that matter; fresh biases and norms are neutral."""
    torch.manual_seed(0)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.3)
    return module.eval()


def far(left: torch.Tensor, right: torch.Tensor) -> float:
    return float((left - right).abs().max() / right.abs().max())


@torch.no_grad()
@pytest.mark.parametrize(
    ("module", "inputs"),
    [
        (Attention(12, 3), torch.randn(4, 5, 12)),
        (nn.LayerNorm(12, eps=1e-3), torch.randn(4, 5, 12) + 2),
        (EncoderLayer(12, 3, 20), torch.randn(4, 5, 12)),
        (ClassTokenLinear(12, 7), torch.randn(4, 5, 12)),
        (PatchEmbedding(3, 12, 2, 6), torch.randn(1, 3, 4, 6)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_rewritten_part_computes_the_same(module: nn.Module, inputs: torch.Tensor) -> None:
    spread(module)
    rewritten = without_transformer_operators(module, "unit")
    assert rewritten is not module
    assert far(rewritten(inputs), module(inputs)) < 1e-5


@torch.no_grad()
def test_a_rewritten_network_computes_the_same() -> None:
    settings = VitSettings(patch=4, width=24, heads=3, depths=(2, 1))
    model = build_model(VitModel(family="vit", teacher=settings, student=settings), (1, 8, 8), 5, 0)
    teacher, image = spread(model.teacher), torch.randn(1, 1, 8, 8)
    assert far(without_transformer_operators(teacher, "unit")(image), teacher(image)) < 1e-5


def test_rewriting_leaves_the_trained_module_as_it_is() -> None:
    layer = EncoderLayer(12, 3, 20).train()
    before = {name: tensor.clone() for name, tensor in layer.state_dict().items()}
    rewritten = without_transformer_operators(layer, "unit")
    assert layer.state_dict().keys() == before.keys()
    assert all(torch.equal(tensor, before[name]) for name, tensor in layer.state_dict().items())
    assert isinstance(layer.attention, Attention)
    assert all(part.training for part in layer.modules())
    assert all(part.training for part in rewritten.modules())


def test_what_holds_no_transformer_is_not_rewritten() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    assert without_transformer_operators(module, "unit") is module


def test_a_layer_normalisation_over_images_is_refused() -> None:
    with pytest.raises(UsageError, match=r"unit has a layer normalisation over \[3, 8, 8\]"):
        without_transformer_operators(nn.Sequential(nn.LayerNorm([3, 8, 8])), "unit")


def test_the_key_of_a_transformer_follows_its_heads_weights_and_rewriting() -> None:
    inputs = torch.randn(2, 5, 12)

    def key(layer: nn.Module) -> str:
        return content_key(fold_batch_norms(layer, "unit"), inputs, inputs)

    layer, other = spread(EncoderLayer(12, 3, 20)), spread(EncoderLayer(12, 2, 20))
    assert key(layer) == key(spread(EncoderLayer(12, 3, 20)))
    rewritten = ExecuTorch().rewrite(layer, "unit")
    keys = {key(layer), key(other), key(rewritten), key(ExecuTorch().rewrite(other, "unit"))}
    with torch.no_grad():
        next(layer.parameters()).flatten()[0] += 1e-3
    assert len({*keys, key(layer)}) == 5


def test_executorch_refuses_the_layer_as_trained() -> None:
    layer = fold_batch_norms(spread(EncoderLayer(12, 3, 20)), "unit")
    with pytest.raises(UsageError, match="native_layer_norm"):
        ExecuTorch().lower(layer, torch.randn(1, 5, 12), "unit")
