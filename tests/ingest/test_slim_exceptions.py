"""Students of teachers in which not everything can be a share of what it was."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.ingest.slim import slimmed
from pipeline.model.blocknet import BlockNet

SHAPE = (3, 8, 8)
IMAGES = torch.randn(2, *SHAPE, generator=torch.Generator().manual_seed(1))


def made(*blocks: nn.Module, embedder: nn.Module, head: nn.Module) -> BlockNet:
    torch.manual_seed(0)
    return BlockNet(embedder, blocks, head).eval()


class RegNetBlock(nn.Module):
    """As RegNet's: every group has as many channels, wherever it lies."""

    def __init__(self, source: int, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(source, width, 1)
        self.grouped = nn.Conv2d(width, width, 3, padding=1, groups=width // 8)
        self.last, self.shortcut = nn.Conv2d(width, width, 1), nn.Conv2d(source, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.shortcut(x) + self.last(F.relu(self.grouped(self.first(x)))))


def regnet() -> BlockNet:
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(104, 6))
    embedder = nn.Conv2d(3, 16, 3)
    return made(RegNetBlock(16, 48), RegNetBlock(48, 104), embedder=embedder, head=head)


class Res2NetBlock(nn.Module):
    """As Res2Net's and VoVNet's: all of a list's layers are joined at its end."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(3))
        self.join = nn.Conv2d(4 * width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        found = [x]
        for conv in self.convs:
            found.append(F.relu(conv(found[-1])))
        return x + self.join(torch.cat(found, 1))


def res2net() -> BlockNet:
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 6))
    stages = [nn.Sequential(*(Res2NetBlock(8) for _ in range(2))) for _ in range(2)]
    return made(*stages, embedder=nn.Conv2d(3, 8, 3), head=head)


class WindowAttention(nn.Module):
    """As torchvision's Swin: a function takes the layer's weights; a layer biases each head."""

    def __init__(self, dim: int, num_heads: int, tokens: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.cpb = nn.Sequential(nn.Linear(2, 20), nn.ReLU(), nn.Linear(20, num_heads, bias=False))
        places = torch.arange(tokens * tokens).reshape(-1, 1).float()
        self.register_buffer("places", torch.cat([places, places.flip(0)], 1) / len(places))

    def forward(self, x: Tensor) -> Tensor:
        count, tokens, dim = x.shape
        bias = self.cpb(self.places).view(tokens, tokens, self.num_heads).permute(2, 0, 1)
        qkv = F.linear(x, self.qkv.weight, self.qkv.bias)
        q, k, v = qkv.reshape(count, tokens, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        scores = (q @ k.transpose(-2, -1) + bias).softmax(-1)
        return x + self.proj((scores @ v).transpose(1, 2).reshape(count, tokens, dim))


class Tokens(nn.Module):
    def __init__(self, dim: int, patch: int = 4) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, dim, patch, patch)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x).flatten(2).transpose(1, 2)


class Mean(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.head = nn.Linear(dim, 6)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(x.mean(1))


def swin() -> BlockNet:
    blocks = [WindowAttention(12, 3, 4) for _ in range(2)]
    return made(*blocks, embedder=Tokens(12), head=Mean(12))


class Mixing(nn.Module):
    """As MLP-Mixer's: linear layers over tokens, then over channels."""

    def __init__(self, tokens: int, dim: int) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(tokens, 10), nn.Linear(10, tokens)
        self.channels = nn.Sequential(nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.down(F.gelu(self.up(x.transpose(1, 2)))).transpose(1, 2)
        return x + self.channels(x)


def mixer() -> BlockNet:
    return made(Mixing(4, 12), Mixing(4, 12), embedder=Tokens(12), head=Mean(12))


@pytest.mark.parametrize("make", [regnet, res2net, swin, mixer])
def test_a_student_of_half_of_all_runs_and_learns(make: Callable[[], BlockNet]) -> None:
    teacher = make()
    slim = slimmed("mine", teacher, SHAPE, 0.5, 0.5)
    assert slim(IMAGES).shape == (2, 6)
    slim(IMAGES).square().sum().backward()
    assert all(parameter.grad is not None for parameter in slim.parameters())
    fewer, all_ = (sum(map(Tensor.numel, each.parameters())) for each in (slim, teacher))
    assert fewer < 0.5 * all_


def test_groups_keep_their_width_where_their_numbers_differ() -> None:
    slim = slimmed("mine", regnet(), SHAPE, 0.5, 1)
    grouped: list[Any] = [block.get_submodule("grouped") for block in slim.blocks]
    assert [(each.in_channels, each.groups) for each in grouped] == [(24, 3), (48, 6)]


def test_layers_that_are_all_needed_stay_and_others_go() -> None:
    slim = slimmed("mine", res2net(), SHAPE, 1, 0.5)
    assert [len(stage) for stage in slim.blocks] == [1, 1]
    assert [len(stage[0].convs) for stage in slim.blocks] == [3, 3]


def test_an_attention_keeps_its_heads_and_its_layer_is_drawn_anew() -> None:
    teacher = swin()
    slim = slimmed("mine", teacher, SHAPE, 0.5, 1)
    both: list[Any] = [each.blocks[0].get_submodule("qkv") for each in (teacher, slim)]
    wide, narrow = both
    assert (narrow.in_features, narrow.out_features) == (6, 18)
    assert narrow.weight.shape == (18, 6)
    assert not torch.equal(narrow.weight, wide.weight[:18, :6])
    assert slim.blocks[0].get_submodule("cpb.2").out_features == 3


def test_layers_over_tokens_give_as_many() -> None:
    block = slimmed("mine", mixer(), SHAPE, 0.5, 1).blocks[0]
    names = ("up", "down", "channels.0", "channels.2")
    layers: list[Any] = [block.get_submodule(name) for name in names]
    assert [(each.in_features, each.out_features) for each in layers] == [
        (4, 10),
        (10, 4),
        (6, 12),
        (12, 6),
    ]


class Halves(nn.Module):
    """Takes its channels apart by a number that it keeps, as EdgeNeXt does."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.width = dim // 2
        self.conv = nn.Conv2d(self.width, self.width, 3, padding=1, groups=self.width)
        self.mix = nn.Conv2d(dim, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        first, second = torch.split(x, self.width, 1)
        return self.mix(torch.cat((self.conv(first), second), 1))


def test_the_share_that_is_wanted_is_tried_in_all_ways_before_others() -> None:
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 3))
    teacher = made(Halves(16), embedder=nn.Conv2d(1, 16, 3, padding=1), head=head)
    student = slimmed("mine", teacher, (1, 8, 8), 0.5, 1.0)
    assert student.blocks[0].mix.out_channels == 8  # 9 run without a change of the number


class Gaps(nn.Module):
    """A list with a gap, as HRNet's, and a convolution whose arguments are its own, as BiT's."""

    class Own(nn.Conv2d):
        def __init__(self, source: int, target: int, *, pixels: int) -> None:
            super().__init__(source, target, pixels)

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.fuse = nn.ModuleList([cast(nn.Module, None), self.Own(dim, dim, pixels=1)])

    def forward(self, x: Tensor) -> Tensor:
        return self.fuse[1](x)


def test_lists_with_gaps_and_classes_with_arguments_of_their_own_get_slimmer() -> None:
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 3))
    teacher = made(Gaps(16), embedder=nn.Conv2d(1, 16, 3, padding=1), head=head)
    student = slimmed("mine", teacher, (1, 8, 8), 0.5, 0.5)
    assert student.blocks[0].fuse[1].weight.shape == (8, 8, 1, 1)
