"""What libraries' networks do that ours do not: tables kept, modules shared, sizes in numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from pipeline.core.errors import UsageError
from pipeline.ingest.cuts import possible_cuts
from pipeline.ingest.own_parts import network_of
from pipeline.ingest.probe import probe_images, require_plain_state, run_network
from pipeline.ingest.recurrence import require_no_recurrence
from pipeline.ingest.slim import slimmed
from pipeline.model.blocknet import BlockNet
from pipeline.model.checkpoint import load_into

SHAPE = (3, 8, 8)
IMAGES = probe_images(SHAPE)


class Keeping(nn.Module):
    """Makes a table once for eval mode, as LeViT's attention does."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.ones(8, 1, 1))
        self.conv = nn.Conv2d(8, 8, 1)
        self.kept: dict[str, Tensor] = {}

    def train(self, mode: bool = True) -> Keeping:
        self.kept = {}
        return super().train(mode)

    def forward(self, x: Tensor) -> Tensor:
        if "table" not in self.kept:
            self.kept["table"] = self.bias * 2
        return self.conv(x) + self.kept["table"]


class Sized(nn.Module):
    """Gives its size beside its features, as Twins' patches do."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(8, 8, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[int, int]]:
        return self.conv(x), (x.shape[2], x.shape[3])


class Branches(nn.Module):
    """A residual block of branches in a list, as SKNet's are."""

    def __init__(self) -> None:
        super().__init__()
        self.paths = nn.ModuleList(nn.ModuleList([nn.Conv2d(4, 8, 1)]) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        halves = zip(x.split(4, 1), self.paths, strict=True)
        return x + sum(layers[0](half) for half, layers in halves)


class Residual(nn.Module):
    """Looked into, and one more sum behind its last part, as LeViT's last block has it."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.ModuleList(nn.Sequential(Keeping()) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        for part in self.inner:
            x = x + part(x)
        return x


class Net(nn.Module):
    """Some blocks, and a token that is spread over the images, as CaiT's."""

    def __init__(self, *blocks: nn.Module) -> None:
        super().__init__()
        self.stem, self.blocks, self.head = (
            nn.Conv2d(3, 8, 1),
            nn.ModuleList(blocks),
            nn.Linear(8, 4),
        )
        self.token, self.last = nn.Parameter(torch.randn(1, 8)), nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for block in self.blocks:
            if isinstance(block, Sized):
                x, (height, width) = block(x)
                x = x.view(-1, 8, height, width)
            else:
                x = block(x)
        return self.classified(x)

    def classified(self, x: Tensor) -> Tensor:
        token = self.last(self.token.expand(x.shape[0], -1))
        return self.head(token + x.mean((2, 3)))


class Rotated(Net):
    """A table that the network holds once and every block is given, as EVA's rotations."""

    def __init__(self) -> None:
        super().__init__(Keeping(), Keeping())
        self.table = nn.Module()
        self.table.register_buffer("angles", torch.randn(8, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for block in self.blocks:
            x = block(x) + self.table.get_buffer("angles")
        return self.classified(x)


def sharing() -> Net:
    """Two blocks with one convolution, as CoaT's have one encoding of positions."""
    blocks = Keeping(), Keeping()
    blocks[1].conv = blocks[0].conv
    return Net(*blocks)


@pytest.mark.parametrize(
    ("made", "paths"),
    [
        (
            lambda: Net(Residual(), Residual()),
            [f"blocks.{i}.inner.{j}" for i in (0, 1) for j in (0, 1)],
        ),
        (lambda: Net(Sized(), Sized()), ["blocks.0", "blocks.1"]),
        (lambda: Net(Branches(), Branches()), ["blocks.0", "blocks.1"]),
        (Rotated, ["blocks.0", "blocks.1"]),
        (sharing, ["blocks.0", "blocks.1"]),
    ],
)
def test_a_library_s_networks_are_cut(made: Callable[[], Net], paths: list[str]) -> None:
    torch.manual_seed(0)
    network = made().eval()
    with torch.no_grad():
        expected = network(IMAGES)
    assert [part.path for part in possible_cuts("mine", network, IMAGES).parts][1:] == paths
    blocks = network_of("mine", "teacher", network, ["auto:2"], SHAPE)
    torch.testing.assert_close(run_network("mine", "teacher", blocks, IMAGES)[-1], expected)
    require_plain_state("mine", {"teacher": blocks})  # none of its tensors is another's
    assert slimmed("mine", blocks, SHAPE, 0.5, 1).train()(IMAGES).shape == expected.shape


@torch.no_grad()
def test_tables_that_are_kept_for_eval_mode_are_those_of_the_weights() -> None:
    network = Keeping().eval()
    features = torch.zeros(1, 8, 1, 1)
    before = network(features)
    state = {name: tensor + 1 for name, tensor in network.state_dict().items()}
    load_into(network, state, Path("mine"))
    torch.testing.assert_close(network(features), before + 1 + 2)


def test_a_network_of_two_streams_is_refused_in_words() -> None:
    class Streams(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.fc = nn.Linear(64, 8), nn.Linear(64, 8), nn.Linear(8, 4)

        def forward(self, x: Tensor) -> Tensor:
            x = x.flatten(1)
            return self.fc(self.a(x) * self.b(x))

    with pytest.raises(UsageError, match=r"1 to 2 blocks .* before b, .* the output of a cross"):
        network_of("mine", "teacher", Streams(), ["auto:3"], (1, 8, 8))


def test_recurrent_layers_are_named_before_anything_is_made_of_them() -> None:
    teacher = nn.Sequential(nn.Linear(4, 4), nn.GRU(4, 4))
    with pytest.raises(UsageError, match=r"nn.GRU \(1\), which no backend runs") as refused:
        require_no_recurrence("mine: the teacher", teacher)
    assert "nn.Conv1d" in refused.value.remedy


@pytest.mark.parametrize("layer", [nn.GRU, nn.LSTM, nn.RNN])
def test_recurrent_layers_are_named_before_a_network_is_cut(
    layer: Callable[..., nn.Module],
) -> None:
    network = nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.Linear(4, 4), layer(4, 4)))
    with pytest.raises(UsageError, match=r"holds nn.\w+ \(1.1\), which no backend runs"):
        network_of("mine", "teacher", network, ["auto:2"], (8, 4))


class Looping(nn.Module):
    """Runs a cell over time, in its own loop."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.cell, self.head = nn.Linear(4, 6), nn.GRUCell(6, 6), nn.Linear(6, 2)

    def steps(self, x: Tensor) -> int:
        """As many as are not padding."""
        return int((x.abs().sum((0, 2)) > 0).sum())

    def forward(self, x: Tensor) -> Tensor:
        features = self.first(x)
        state = features[:, 0]
        for time in range(self.steps(x)):
            state = self.cell(features[:, time], state)
        logits: Tensor = self.head(state)
        return logits


def test_cells_in_a_loop_are_named_where_they_cannot_be_followed_or_made_slimmer() -> None:
    with pytest.raises(UsageError, match=r"runs nn.GRUCell \(cell\) in a loop") as refused:
        network_of("mine", "teacher", Looping().eval(), ["auto:2"], (8, 4))
    assert "move cell and loop into a module" in refused.value.remedy
    with pytest.raises(UsageError, match=r"nn.GRUCell \(cell\), which cannot be made slimmer"):
        require_no_recurrence("mine: the teacher", Looping())


class Lists(nn.Module):
    """Keeps what its branches give in a list, as CrossViT does."""

    def __init__(self) -> None:
        super().__init__()
        self.branches = nn.ModuleList([nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 1)])
        self.norms = nn.ModuleList([nn.BatchNorm2d(4), nn.BatchNorm2d(4)])
        self.head = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        maps = torch.stack([branch(x) for branch in self.branches]).unbind()
        maps = [norm(each) for norm, each in zip(self.norms, maps, strict=True)]
        logits: Tensor = self.head(sum(maps).mean((2, 3)))
        return logits


def test_lists_of_tensors_cross_a_cut_as_tensors_do() -> None:
    network = Lists().eval()
    paths = [part.path for part in possible_cuts("mine", network, IMAGES).parts]
    assert paths == ["", "branches.0", "head"]
    with pytest.raises(UsageError, match=r"cannot be cut before norms.1: .* cross there"):
        network_of("mine", "teacher", network, ["norms.1"], SHAPE)


class Mixed(nn.Module):
    """Splits its channels by a list that it keeps, as MixNet's convolutions do."""

    def __init__(self, *sizes: int) -> None:
        super().__init__()
        self.splits = [*sizes]
        self.parts = nn.ModuleList(
            nn.Conv2d(size, size, 3, padding=1, groups=size) for size in sizes
        )

    def forward(self, x: Tensor) -> Tensor:
        split = torch.split(x, self.splits, 1)
        return torch.cat([part(each) for part, each in zip(self.parts, split, strict=True)], 1)


class Gated(nn.Module):
    """Features and three gates from one layer, as FocalNet's."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim, self.input_split = dim, [dim, 3]
        self.f = nn.Conv2d(dim, dim + 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        features, gates = torch.split(self.f(x), self.input_split, 1)
        return features * gates[:, 2:]


class Partial(nn.Module):
    """A residual over its first channels alone, of which there is an odd number, as ReXNet's."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.in_channels = inputs
        self.conv = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        found = self.conv(x)
        return torch.cat([found[:, : self.in_channels] + x, found[:, self.in_channels :]], 1)


class Scaled(nn.Module):
    """A scale that is viewed by a shape that it keeps, as PoolFormer's."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.shape, self.scale = (dim, 1, 1), nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale.view(self.shape)


@pytest.mark.parametrize(
    ("blocks", "width"),
    [
        ([Mixed(6, 5, 5)], 16),
        ([Gated(16)], 16),
        ([Partial(16, 27), Partial(27, 38)], 38),
        ([Scaled(16)], 16),
    ],
)
def test_sizes_that_modules_keep_get_smaller_with_their_layers(
    blocks: list[nn.Module], width: int
) -> None:
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10))
    teacher = BlockNet(nn.Conv2d(3, 16, 1), blocks, head).eval()
    slim = slimmed("mine", teacher, SHAPE, 0.5, 1)
    assert slim.embedder.out_channels == 8
    assert run_network("mine", "student", slim, IMAGES)[-1].shape == (2, 10)
