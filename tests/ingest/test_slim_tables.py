"""Students of teachers whose tables have as many places, heads or classes as channels."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from pipeline.ingest.slim import slimmed
from pipeline.model.blocknet import BlockNet
from tests.ingest.test_slim_exceptions import SHAPE, Tokens

TOKENS = 16


class Rotary(nn.Module):
    """Attention with tables ``[tokens, head_dim]`` and a bias ``[heads, tokens, tokens]``."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.register_buffer("cos", torch.rand(TOKENS, dim // heads))
        self.register_buffer("sin", torch.rand(TOKENS, dim // heads))
        self.bias = nn.Parameter(torch.rand(heads, TOKENS, TOKENS))

    def forward(self, x: Tensor) -> Tensor:
        count, tokens, dim = x.shape
        qkv = self.qkv(x).reshape(count, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        q, k = (each * self.cos + each.roll(1, -1) * self.sin for each in qkv[:2])
        scores = (q @ k.transpose(-2, -1) + self.bias).softmax(-1)
        return x + self.proj((scores @ qkv[2]).transpose(1, 2).reshape(count, tokens, dim))


class Rows(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.positions = nn.Embedding(TOKENS, dim)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.positions(torch.arange(TOKENS))


class Mixing(nn.Module):
    """Mixes tokens by a table, and weighs channels by another."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.mix, self.gain = (
            nn.Parameter(torch.rand(TOKENS, TOKENS)),
            nn.Parameter(torch.rand(dim)),
        )
        self.fc = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.fc(self.mix @ x) * self.gain


class Head(nn.Module):
    def __init__(self, dim: int, classes: int) -> None:
        super().__init__()
        self.fc, self.scale = nn.Linear(dim, classes), nn.Parameter(torch.rand(classes))

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x.mean(1)) * self.scale


class Map(nn.Module):
    """Positions of a map that is as high and as wide as it has channels."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.positions, self.conv = nn.Parameter(torch.rand(1, dim, 8, 8)), nn.Conv2d(dim, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x + self.positions).flatten(2).transpose(1, 2)


@pytest.mark.parametrize(
    ("dim", "block", "classes", "shapes"),
    [
        (16, Rotary(16, 1), 6, {"cos": (16, 8), "sin": (16, 8), "bias": (1, 16, 16)}),
        (32, Rotary(32, 2), 6, {"cos": (16, 8), "sin": (16, 8), "bias": (2, 16, 16)}),
        (16, Rows(16), 6, {"positions.weight": (16, 8)}),
        (16, Mixing(16), 6, {"mix": (16, 16), "gain": (8,)}),
        (16, Mixing(16), 16, {"fc.weight": (8, 8)}),  # no head, though it gives as many
        (8, Map(8), 6, {"positions": (1, 4, 8, 8)}),
    ],
)
def test_axes_of_places_stay_as_long_as_they_are(
    dim: int, block: nn.Module, classes: int, shapes: dict[str, tuple[int, ...]]
) -> None:
    embedder = nn.Conv2d(3, dim, 1) if isinstance(block, Map) else Tokens(dim, 2)
    teacher = BlockNet(embedder, [block], Head(dim, classes)).eval()
    slim = slimmed("mine", teacher, SHAPE, 0.5, 1)
    tensors = slim.blocks[0].state_dict()
    assert {name: tuple(tensors[name].shape) for name in shapes} == shapes
    assert slim(torch.ones(2, *SHAPE)).shape == (2, classes)
    if isinstance(block, Rotary):  # the entries that are left are the teacher's first
        assert torch.equal(tensors["cos"], block.cos[:, :8])


def test_heads_that_are_as_many_as_channels_stay_with_their_table() -> None:
    class Slopes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.slopes = nn.Linear(32, 32), nn.Parameter(torch.rand(4))

        def forward(self, x: Tensor) -> Tensor:
            heads = self.fc(x).unflatten(-1, (4, -1)) * self.slopes.view(4, 1)
            return heads.flatten(2)

    embedder = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 3, 1), Tokens(32, 2))
    slim = slimmed("mine", BlockNet(embedder, [Slopes()], Head(32, 6)).eval(), SHAPE, 0.5, 1)
    assert slim.blocks[0].slopes.shape == (4,)
    assert slim.blocks[0].fc.out_features == 16  # as wanted: no share near it
