"""Where networks can be cut, and what lies between."""

from __future__ import annotations

import re
from io import StringIO
from pathlib import Path

import pytest
import torch
from rich.console import Console
from torch import Tensor, nn
from typer.testing import CliRunner

from pipeline.core.errors import UsageError
from pipeline.ingest.cuts import NetworkPart, balanced_split, possible_cuts
from pipeline.ingest.own_parts import network_of
from pipeline.ingest.probe import probe_images
from pipeline.ingest.split import split_network
from pipeline.ingest.split_candidates import SplitCandidates
from pipeline.inspect import inspect
from pipeline.report.render.cut_table import cut_table
from tests.ingest.test_split import Residual, ResNet
from tests.models.dense import LRASPP
from tests.models.transformers import DeiT, Swin

IMAGES = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def parts_of(network: nn.Module, images: Tensor = IMAGES) -> list[NetworkPart]:
    return [*possible_cuts("mine: the teacher", network.eval(), images).parts]


class Encoder(nn.Module):
    """Layers in torch's own holder, whose code counts the sizes of what it is given."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.encoder, self.head = nn.TransformerEncoder(layer, 3), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.encoder(x).mean(1))


@torch.no_grad()
def test_torch_s_own_encoder_is_cut_between_its_layers() -> None:
    network, images = Encoder().eval(), torch.randn(2, 5, 8)
    paths = [part.path for part in possible_cuts("mine", network, images).parts]
    assert paths[1:] == ["encoder.layers.1", "encoder.layers.2"]
    blocks = split_network("mine", "teacher", network, ["auto:2"], images).eval()
    torch.testing.assert_close(blocks(images), network(images))


def test_parts_are_told_with_what_flows_in_and_what_they_cost() -> None:
    found = parts_of(ResNet(), torch.zeros(2, 1, 8, 8))
    assert [part.path for part in found] == ["", "layer1.0", "layer1.1", "layer2", "layer3"]
    assert [part.features for part in found] == [(1, 8, 8), *[(8, 8, 8)] * 3, (16, 4, 4)]
    assert sum(part.parameters for part in found) == sum(p.numel() for p in ResNet().parameters())
    assert found[0].multiply_adds == 8 * 9 * 64  # of one image
    assert found[2].multiply_adds == 8 * 8 * 9 * 64


class KeepsFeatures(nn.Module):
    """Its last line reads what a hook kept of a layer; two other hooks change, or print, values."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.three = (nn.Conv2d(3, 3, 3, padding=1) for _ in range(3))
        self.kept: dict[str, Tensor] = {}
        self.one.register_forward_hook(self._keep)
        self.two.register_forward_hook(lambda module, given, out: out * 2)
        self.three.register_forward_hook(lambda module, given, out: print(float(out.sum())))

    def _keep(self, module: nn.Module, given: tuple[Tensor, ...], out: Tensor) -> None:
        self.kept["one"] = out

    def forward(self, x: Tensor) -> Tensor:
        x = self.two(self.one(x)).relu() + self.kept.pop("one")
        return self.three(x).mean((2, 3))


@torch.no_grad()
def test_what_hooks_keep_of_a_layer_flows_too() -> None:
    network = KeepsFeatures().eval()
    assert [part.path for part in parts_of(network)] == ["", "two", "three"]
    blocks = split_network("mine", "teacher", network, ["two", "three"], IMAGES).eval()
    torch.testing.assert_close(blocks(IMAGES), network(IMAGES))


class EndsInAShortcut(nn.Module):
    """Its own code adds what its last two layers were given: neither of them ends a block."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 3)
        self.features = nn.Sequential(*(nn.Conv2d(8, 8, 1) for _ in range(3)))
        self.layer1, self.layer2 = nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 1)
        self.fc = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.features(self.stem(x))
        return self.fc((x + self.layer2(self.layer1(x).relu())).mean((2, 3)))


@torch.no_grad()
def test_the_last_block_ends_behind_a_shortcut() -> None:
    network, images = EndsInAShortcut().eval(), torch.randn(2, 1, 8, 8)
    cuts = possible_cuts("mine", network, images)
    assert cuts.split == ["features.0", "features.1", "features.2", "layer1..fc"]
    for count in (1, 2, 4):
        blocks = split_network("mine", "teacher", network, [f"auto:{count}"], images).eval()
        assert len(blocks.blocks) == count
        torch.testing.assert_close(blocks(images), network(images))
    assert possible_cuts("mine", ResNet().eval(), images).end is None


class TwoHeads(nn.Module):
    """Logits of maps of two depths are summed up: nothing but the sum leaves its last part."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(*(nn.Conv2d(1 if not i else 8, 8, 1) for i in range(3)))
        self.last = nn.Conv2d(8, 8, 1)
        self.head1, self.head2 = nn.Conv2d(8, 4, 1), nn.Conv2d(8, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.features(x)
        return self.head1(x) + self.head2(self.last(x))


@torch.no_grad()
@pytest.mark.parametrize("split", ["auto:2", "auto:2:load_time"])
def test_the_last_block_of_parts_that_are_found_reaches_to_the_end_where_it_has_to(
    split: str,
) -> None:
    network, images = TwoHeads().eval(), probe_images((1, 8, 8))
    expected = network(images)

    def choose(candidates: SplitCandidates) -> list[str]:
        paths, _ = candidates.parts()
        return [paths[0], paths[-1]]

    blocks = network_of("mine", "teacher", network, [split], (1, 8, 8), choose)
    assert len(blocks.blocks) == 2
    torch.testing.assert_close(blocks(images), expected)
    with pytest.raises(UsageError, match=r"cannot be cut behind head1: .* cross there") as refused:
        network_of("mine", "teacher", TwoHeads(), ["features.1", "head1"], (1, 8, 8))
    assert 'or write "head1..", which reaches to the network\'s end' in refused.value.remedy
    blocks = network_of("mine", "teacher", network, ["features.1", "head1.."], (1, 8, 8))
    torch.testing.assert_close(blocks(images), expected)
    with pytest.raises(UsageError, match=r"features\.1\.\. and head1, which have parts in common"):
        network_of("mine", "teacher", TwoHeads(), ["features.1..", "head1"], (1, 8, 8))


@torch.no_grad()
def test_all_that_is_listed_can_be_named_where_several_tensors_leave_the_last_part() -> None:
    network, images = LRASPP().eval(), probe_images((3, 32, 32))
    cuts = possible_cuts("mine", network, images)
    assert cuts.split == ["low.0", "low.1", "high.."]
    expected = network(images)
    for named in (cuts.split, *([name] for name in cuts.split)):
        blocks = split_network("mine", "teacher", network, named, images)
        torch.testing.assert_close(blocks(images), expected)
    table = cut_table("mine", cuts, {"auto:2": balanced_split("mine", network, images, 2, cuts)})
    console = Console(width=100, file=StringIO(), record=True)
    console.print(table)
    assert re.search(
        r'^ +high\.\. .*"auto:2" is \["low\.[01]", "(high|low\.1)\.\."\]',
        console.export_text(),
        re.DOTALL | re.MULTILINE,
    )


@pytest.mark.parametrize(
    ("names", "channels", "what"),
    [
        (["features[0:2]", "features[1:3]"], 1, r"features\[0:2\] and features\[1:3\], which"),
        (["layer1", "layer2"], 3, r"given \[2, 3, 8, 8\], failed: RuntimeError"),
        (["auto:2", "layer1"], 1, "no submodule auto:2"),
    ],
)
def test_what_cannot_be_cut_so_is_told(names: list[str], channels: int, what: str) -> None:
    images = torch.zeros(2, channels, 8, 8)
    with pytest.raises(UsageError, match=what):
        split_network("mine", "teacher", EndsInAShortcut().eval(), names, images)


def test_tokens_are_features_and_a_shortcut_is_never_cut() -> None:
    found = parts_of(DeiT())
    assert [part.path for part in found] == ["", *(f"blocks.{i}" for i in range(4)), "norm"]
    assert found[1].features == (18, 24)
    # Attention counts: queries by keys, and what they mix.
    dim, tokens = 24, 18
    layers = tokens * dim * (3 + 1 + 4 + 4) * dim
    assert found[1].multiply_adds == layers + 2 * tokens * tokens * dim
    assert "features.1.1" in [part.path for part in parts_of(Swin())]


class Stage(nn.Module):
    """As timm has them: a class around a sequence of blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.downsample = nn.Conv2d(8, 8, 1)
        self.blocks = nn.Sequential(Residual(8, 8), Residual(8, 8))

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(self.downsample(x))


class Staged(nn.Module):
    """Asks for the size of its images, as many do."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 3)
        self.stages = nn.Sequential(Stage(), Stage())

    def forward(self, x: Tensor) -> Tensor:
        _, _, height, width = x.shape
        assert height == width == 8, f"images of 8 x 8, not {height} x {width}"
        if x.dim() != 4:
            raise ValueError("images only")
        return self.stages(self.stem(x)).mean((2, 3))


def test_stages_in_a_sequence_are_looked_into_and_conditions_on_sizes_are_what_they_are() -> None:
    found = [part.path for part in parts_of(Staged(), torch.zeros(2, 1, 8, 8))]
    inside = ("downsample", "blocks.0", "blocks.1")
    assert found == ["", *(f"stages.{stage}.{part}" for stage in (0, 1) for part in inside)]
    with pytest.raises(UsageError, match="images of 8 x 8"):
        parts_of(Staged(), torch.zeros(2, 1, 9, 9))


class Outer(nn.Module):
    """Its body runs as often as its input says."""

    class Body(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.Sequential(ResNet(), ResNet())

        def forward(self, x: Tensor) -> Tensor:
            return self.layers[0](x) if x.sum() > 0 else self.layers[1](x)

    def __init__(self) -> None:
        super().__init__()
        self.first, self.body = nn.Conv2d(1, 1, 1), self.Body()

    def forward(self, x: Tensor) -> Tensor:
        return self.body(self.first(x))


def test_what_cannot_be_looked_into_is_told() -> None:
    cuts = possible_cuts("mine", Outer().eval(), torch.zeros(2, 1, 8, 8))
    assert [part.path for part in cuts.parts] == ["", "first", "body"]
    assert "depends on values of tensors" in cuts.closed["body"]
    assert possible_cuts("from part to part: 2", Outer().eval(), torch.zeros(2, 1, 8, 8)) == cuts


MINE = """
from tests.models.transformers import Swin as alone
from tests.ingest.test_split import ResNet
from pipeline.ingest.python import OwnModel
def pair():
    return OwnModel(ResNet(8), ResNet(4), (1, 8, 8))
"""


def told(*arguments: str) -> str:
    result = CliRunner().invoke(inspect, arguments)
    assert result.exit_code == 0, result.output
    assert max(map(len, result.output.splitlines())) <= 100
    return result.output


def test_a_function_is_inspected_before_any_profile_is_written(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    alone = f"python:{tmp_path}/mine.py:alone"
    said = told(alone, "--image-shape", "3,32,32", "--blocks", "2")
    assert "features.3.1" in said
    assert "8x8x16" in said
    assert '"auto:2" is ["features.0", "features.3.1..norm"]' in said
    pair = told(f"python:{tmp_path}/mine.py:pair")
    assert pair.index("the teacher (ResNet)") < pair.index("the student (ResNet)")


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["python:MINE:alone"], "give --image-shape 3,224,224"),
        (["python:MINE:alone", "--image-shape", "3,x"], "write CHANNELS,HEIGHT,WIDTH"),
        (["python:MINE:alone", "--image-shape", "1,32,32"], "given [2, 1, 32, 32], failed"),
        (["python:MINE:alone", "--cross-check", "tf"], "is no bundle"),
        (["nowhere", "--blocks", "3"], "are for networks"),
    ],
)
def test_what_cannot_be_inspected_is_told(arguments: list[str], what: str, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    result = CliRunner().invoke(
        inspect, [part.replace("MINE", f"{tmp_path}/mine.py") for part in arguments]
    )
    assert result.exit_code == 2
    assert what in " ".join(result.stderr.split())
