"""Networks of tables, signals and texts: few maps flow there, and rows are counted."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from pipeline.core.errors import UsageError
from pipeline.ingest.cuts import possible_cuts
from pipeline.ingest.split import split_network
from pipeline.ingest.tokens import TokenNetwork
from pipeline.model.blocknet import BlockNet


def cuts_of(network: nn.Module, *shape: int) -> list[str]:
    return possible_cuts("mine", network.eval(), torch.randn(2, *shape)).split


@torch.no_grad()
def require_cut(network: nn.Module, *shape: int, blocks: int = 2) -> BlockNet:
    """Cuts a network and holds that the blocks give what it gives."""
    images = torch.randn(3, *shape)
    found = split_network("mine", "teacher", network.eval(), [f"auto:{blocks}"], images).eval()
    assert len(found.blocks) == blocks
    for count in (1, 2, 3):
        assert torch.equal(found(images[:count]), network(images[:count]))
    return found


def table_network() -> nn.Sequential:
    return nn.Sequential(
        *(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout()),
        *(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3)),
    )


def test_a_network_of_tables_is_cut_before_its_layers() -> None:
    assert cuts_of(table_network(), 5) == ["0", "4", "7"]
    parts = require_cut(table_network(), 5)
    assert isinstance(parts.embedder, nn.Identity)


class Branches(nn.Module):
    """As InceptionTime: a shortcut from its input, and one from the middle to the end."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv1d(2, 2, 3, padding=1) for _ in range(4))
        self.head = nn.Linear(2, 3)

    def forward(self, x: Tensor) -> Tensor:
        for first, second in ((0, 1), (2, 3)):
            x = x + self.layers[second](self.layers[first](x).relu())
        return self.head(x.mean(2))


def test_a_first_block_may_begin_with_the_input() -> None:
    assert cuts_of(Branches(), 2, 9) == ["layers.0", "layers.2..head"]
    require_cut(Branches(), 2, 9)
    crossing = r"1 to 2 blocks .* before layers.1, the input x and what relu gives .* cross"
    with pytest.raises(UsageError, match=crossing):
        split_network("mine", "teacher", Branches().eval(), ["auto:3"], torch.randn(2, 2, 9))


class Divided(Branches):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) / (x.shape[1] * x.shape[2])


def test_one_that_computes_with_sizes_and_fails_is_named() -> None:
    require_cut(Divided(), 2, 9)
    for split in (["auto:2"], ["layers.0", "layers.2..head"]):
        with pytest.raises(UsageError, match=r"the teacher, given \[2, 3, 9\], failed"):
            split_network("mine", "teacher", Divided().eval(), split, torch.randn(2, 3, 9))


class Numbers(nn.Module):
    """As an FT-Transformer, which counts rows by `len`, with positions in a buffer."""

    places: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.first = nn.Parameter(torch.randn(5, 8)), nn.Parameter(torch.randn(8))
        self.register_buffer("places", torch.randn(1, 20, 8))
        layer = (nn.TransformerEncoderLayer(8, 2, 8, batch_first=True) for _ in range(2))
        self.layers, self.head = nn.ModuleList(layer), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        tokens = x[:, :, None] * self.weight
        tokens = torch.cat([self.first.expand(len(x), 1, -1), tokens], 1)
        tokens = tokens + self.places[:, : tokens.size(1)] / math.sqrt(tokens.shape[-1])
        for layer in self.layers:
            tokens = layer(tokens)
        return self.head(tokens[:, 0])


def test_rows_are_counted_and_tables_sliced_by_sizes() -> None:
    assert cuts_of(Numbers(), 5) == ["layers.0", "layers.1"]
    require_cut(Numbers(), 5)
    assert "len" not in globals()


class Turned(nn.Module):
    """A layer that is given sines of positions, made once for all layers."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Linear(8, 8)

    def forward(self, x: Tensor, sines: Tensor) -> Tensor:
        return x + self.mix(x) * sines


class Rotary(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words, self.head = nn.Embedding(9, 8), nn.Linear(8, 3)
        self.layers = nn.ModuleList(Turned() for _ in range(3))

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.words(tokens)
        places = torch.arange(tokens.shape[1], device=tokens.device)
        sines = (places[:, None] / (1 + torch.arange(8, device=x.device))).sin()
        for layer in self.layers:
            x = layer(x, sines)
        return self.head(x.mean(1))


def test_what_is_made_of_sizes_alone_crosses_no_cut() -> None:
    network = TokenNetwork(Rotary(), 9)
    assert cuts_of(network, 6) == ["layers.0", "layers.1", "layers.2"]
    parts = require_cut(network, 6)
    # Where it is made follows from what the block is given, which may be on a GPU.
    assert parts.blocks[1].to("meta")(torch.zeros(1, 6, 8, device="meta")).device.type == "meta"


class Padded(Rotary):
    def forward(self, tokens: Tensor) -> Tensor:
        x, kept = self.words(tokens), (tokens != 0).unsqueeze(-1).float()
        for layer in self.layers:
            x = layer(x, kept)
        return self.head(x.mean(1))


class Video(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(*(nn.Conv3d(1, 1, 3, padding=1) for _ in range(3)))
        self.head = nn.Linear(1, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layers(x).mean((2, 3, 4)))


def test_it_is_told_why_there_are_no_more_cuts_and_what_helps() -> None:
    padded = TokenNetwork(Padded(), 9).eval()
    crossing = r"before layers.0, the output of words and what float gives .*made of the input"
    with pytest.raises(UsageError, match=crossing) as refused:
        split_network("mine", "teacher", padded, ["auto:2"], torch.randn(2, 6))
    assert "docs/inputs.md" in refused.value.remedy
    with pytest.raises(UsageError, match=r"cannot be cut before layers.0: .* cross") as refused:
        split_network("mine", "teacher", padded, ["layers.0", "layers.1"], torch.randn(2, 6))
    assert "docs/inputs.md" in refused.value.remedy
    with pytest.raises(UsageError, match=r"layers.* takes 1x2x4x4, and blocks give maps"):
        split_network("mine", "teacher", Video().eval(), ["auto:2"], torch.randn(2, 1, 2, 4, 4))
