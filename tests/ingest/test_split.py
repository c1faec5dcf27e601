"""Networks as people write them, cut at the names of their submodules."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.core.errors import UsageError
from pipeline.core.progress import Silent
from pipeline.ingest.intake import own_model
from pipeline.ingest.own_parts import network_of
from pipeline.ingest.split import split_network
from pipeline.lowering.capture import capture
from pipeline.model.blocknet import BlockNet
from pipeline.model.content import Content
from pipeline.model.opened import OpenedModel
from pipeline.model.route import Route
from pipeline.settings import SourceModel
from pipeline.workflows.load_model import open_model
from pipeline.workflows.model_source import ModelSource
from tests.fixtures import settings_from
from tests.ingest.test_python import TRAINING

IMAGES = torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(1))


class Residual(nn.Module):
    """A basic block; what it does inside depends on values, which nobody has to follow."""

    def __init__(self, source: int, target: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(source, target, 3, stride, 1)
        self.bn = nn.BatchNorm2d(target)
        self.down = nn.Conv2d(source, target, 1, stride) if stride > 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)) + self.down(x))


class ResNet(nn.Module):
    """Named as torchvision's."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.conv1, self.relu = nn.Conv2d(1, width, 3, padding=1), nn.ReLU()
        self.layer1 = nn.Sequential(Residual(width, width), Residual(width, width))
        self.layer2 = nn.Sequential(Residual(width, 2 * width, 2))
        self.layer3 = nn.Sequential(Residual(2 * width, 2 * width))
        self.avgpool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(2 * width, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.conv1(x))
        x = self.layer3(self.layer2(self.layer1(x)))
        x = torch.flatten(self.avgpool(x), 1)
        return self.fc(F.dropout(x, 0.5, self.training))


LAYERS = ["layer1", "layer2", "layer3"]


class Sizes(ResNet):
    """Numbers that are read at the beginning are used at the end."""

    def forward(self, x: Tensor) -> Tensor:
        n, _, height, width = x.shape
        torch._assert(height == 8, f"images of 8 pixels, not {height}")
        x = self.layer1(self.relu(self.conv1(x)))
        x = self.avgpool(self.layer3(self.layer2(x)) * (height * width / 64))
        return self.fc(x.reshape(2 * n, -1).reshape(n, -1))


class Features(nn.Module):
    """A sequence, as in torchvision's VGG and MobileNet, that normalizes with a parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.tensor(0.3))
        self.features = nn.Sequential(*(nn.Conv2d(1 if i == 0 else 4, 4, 3) for i in range(3)))
        self.head = nn.Linear(4 * 2 * 2, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.features(x - self.shift)
        return self.head(x.view(x.size(0), -1) + self.shift)


class Listed(nn.Module):
    """Lists of modules, which nobody calls, and a sequence whose entries have names."""

    def __init__(self, rounds: int = 1) -> None:
        super().__init__()
        pairs = ([nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4)] for i in range(2))
        self.layers = nn.ModuleList(nn.ModuleList(pair) for pair in pairs)
        self.rounds = range(rounds)
        named = {f"layer_{i}": nn.Conv2d(4, 4, 3, padding=1) for i in range(3)}
        self.encoder, self.head = nn.Sequential(OrderedDict(named)), nn.Linear(4, 10)
        self.stem = nn.Conv2d(1, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for pair in self.layers:
            for _ in self.rounds:
                for layer in pair.children():
                    x = layer(x) + x
        return self.head(self.encoder(x).mean((2, 3)))


class Writing(nn.Module):
    """Writes into the list that it is given, as HRNet's modules do."""

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(4, 4, 1) for _ in range(2))

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        for index, convolution in enumerate(self.convs):
            maps[index] = convolution(maps[index])
        return [maps[0], maps[0] + maps[1]]


class Branches(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.pool = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 4, 1)
        self.stage = nn.Sequential(Writing(), Writing())
        self.last, self.head = nn.Conv2d(4, 4, 1), nn.Linear(4, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        first, second = self.stage([x, self.pool(x)])
        return self.head(self.last(first + second).mean((2, 3)))


def cut(network: nn.Module, *names: str) -> BlockNet:
    return split_network("mine", "teacher", network.eval(), names, IMAGES).eval()


@pytest.mark.parametrize(
    ("make", "names"),
    [
        (ResNet, LAYERS),
        (ResNet, ["layer1.0", "layer1.1", "layer3"]),
        (ResNet, ["conv1", "layer2"]),
        (ResNet, ["fc"]),
        (ResNet, ["layer1", "layer2..layer3"]),
        (Sizes, LAYERS),
        (Features, ["features[0:2]", "features[2:3]"]),
        (Features, ["features.0", "features.1", "features.2"]),
        (Features, ["features", "head"]),
        (Features, ["features[:2]", "features[2]"]),
        (Listed, ["layers", "encoder"]),
        (Branches, ["pool..stage", "last"]),
        (Listed, ["layers[:1]", "layers[1:]"]),
        (Listed, ["layers[1:]", "encoder[0:2]", "encoder.layer_2"]),
    ],
)
def test_the_parts_compute_what_the_whole_computes(
    make: Callable[[], nn.Module], names: Sequence[str]
) -> None:
    torch.manual_seed(0)
    network = make()
    parts = cut(network, *names)
    assert len(parts.blocks) == len(names)
    with torch.no_grad():
        assert torch.equal(parts(IMAGES), network(IMAGES))
    # They are its own parameters, each once.
    ours = {id(parameter) for parameter in parts.parameters()}
    assert ours == {id(parameter) for parameter in network.parameters()}


def test_modules_may_write_into_the_lists_that_they_are_given() -> None:
    assert len(cut(Branches(), "auto:2").blocks) == 2


def test_a_part_that_is_a_submodule_is_that_submodule() -> None:
    network = ResNet()
    parts = cut(network, *LAYERS)
    assert [*parts.blocks] == [network.layer1, network.layer2, network.layer3]
    assert isinstance(cut(network, "conv1", "layer1").embedder, nn.Identity)


def test_neighbors_are_a_sequence_of_which_a_student_keeps_some() -> None:
    (first, last) = cut(ResNet(), "layer1.0", "layer3").blocks
    assert isinstance(first, nn.Sequential)
    assert [type(part) for part in first] == [Residual, Residual, nn.Sequential]
    assert isinstance(last, nn.Sequential)


def test_sizes_that_cross_a_cut_follow_the_number_of_images() -> None:
    network = Sizes()
    parts = cut(network, *LAYERS)
    for count in (1, 2, 3):
        assert torch.equal(parts(IMAGES[:count]), network(IMAGES[:count]))


class Optional(ResNet):
    def forward(self, x: Tensor, mask: Tensor | None = None, headless: bool = False) -> Tensor:
        if mask is not None:
            x = x * mask
        return self.layer1(x) if headless else super().forward(x)


def test_arguments_that_nobody_gives_are_what_they_are_by_default() -> None:
    network = Optional().eval()
    blocks = split_network("mine", "teacher", network, LAYERS, IMAGES).eval()
    with torch.no_grad():
        assert torch.equal(blocks(IMAGES), network(IMAGES))


def test_blocks_of_about_as_many_parameters_are_found() -> None:
    network = ResNet()
    one = cut(network, "auto:1")
    assert one.blocks[0][0] is network.layer1[0]
    assert torch.equal(one(IMAGES), network(IMAGES))
    two = cut(network, "auto:2")
    weights = [sum(part.numel() for part in two.part(i).parameters()) for i in range(2)]
    assert weights == [2624, 2522]  # between the first layer and the others
    with pytest.raises(UsageError, match="can be cut into 1 to 4 blocks") as refused:
        cut(network, "auto:5")
    assert "pipeline.inspect" in refused.value.remedy


def test_a_dropout_between_parts_drops_in_training_alone() -> None:
    parts = cut(ResNet(), *LAYERS)
    features = torch.ones(1, 16, 4, 4)
    assert torch.equal(parts.classifier(features), parts.classifier(features))
    parts.train()
    assert not torch.equal(parts.classifier(features), parts.classifier(features))


class Shortcut(ResNet):
    def forward(self, x: Tensor) -> Tensor:
        first = self.layer1(self.relu(self.conv1(x)))
        x = self.layer3(self.layer2(first)) + first.mean()
        return self.fc(torch.flatten(self.avgpool(x), 1))


class Twice(ResNet):
    def forward(self, x: Tensor) -> Tensor:
        x = self.layer2(self.layer1(self.layer1(self.relu(self.conv1(x)))))
        return self.fc(torch.flatten(self.avgpool(self.layer3(x)), 1))


class Depends(ResNet):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x if x.sum() > 0 else -x)


class Reads(ResNet):
    """Asks for a number, which is the same for some images by luck."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x if x.abs().max().item() > 0 else -x)


class Scaled(ResNet):
    """A number that is read from the features is used behind a cut."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer1(self.relu(self.conv1(x)))
        scale = x.abs().max().item()
        x = self.layer3(self.layer2(x)) * scale
        return self.fc(torch.flatten(self.avgpool(x), 1))


class TwoInputs(ResNet):
    def forward(self, x: Tensor, scale: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(x * scale)


@pytest.mark.parametrize(
    ("network", "what", "remedy"),
    [
        (nn.DataParallel(ResNet()), "the teacher is DataParallel", "teacher.module"),
        (torch.compile(ResNet()), "torch.compile", "teacher._orig_mod"),
        (torch.jit.trace(ResNet().eval(), IMAGES), "TorchScript", "before torch.jit.script"),
        (ResNet().half(), "the teacher's conv1.weight is float16", ".float()"),
    ],
)
def test_what_is_wrapped_or_of_another_type_is_named(
    network: nn.Module, what: str, remedy: str
) -> None:
    with pytest.raises(UsageError) as refused:
        network_of("mine", "teacher", network, ["layer1"], (1, 8, 8))
    assert what in refused.value.what
    assert remedy in refused.value.remedy


@pytest.mark.parametrize(
    ("network", "names", "what", "remedy"),
    [
        (ResNet(), ["layer1", "layr2"], "no submodule layr2", "did you mean layer2?"),
        (ResNet(), ["layer2", "layer1"], "runs layer1 before layer2", "in which they run"),
        (ResNet(), ["layer1", "layer1"], "names layer1 twice", "each once"),
        (ResNet(), ["layer1", "layer1.0"], "names layer1 and layer1.0", "beside each other"),
        (ResNet(), ["layer2..layer1", "layer3"], "runs layer1 before layer2", "layer1..layer2"),
        (ResNet(), ["layer1[0:3]"], "layer1 has 2 parts", "END <= 2"),
        (ResNet(), ["layer1[1:1]"], "layer1 has 2 parts", "FIRST < END"),
        (ResNet(), ["layr1[0:1]"], "no submodule layr1", "did you mean layer1?"),
        (ResNet(), ["layer1[-1:]"], "layer1 has 2 parts", "FIRST < END"),
        (ResNet(), ["fc[0:1]"], "fc has no parts", "write fc alone"),
        (Reads(), LAYERS, "(" + __file__, "torch.where"),
        (Scaled(), LAYERS, "cannot be cut before layer2", "shortcut"),
        (Listed(2), ["layers"], "runs layers.0.0 2 times", "run once"),
        (Twice(), LAYERS, "runs layer1 2 times", "run once"),
        (ResNet(), ["layer2.0.down", "layer3"], "what add gives", ""),
        (Shortcut(), LAYERS, "the output of layer1 and the output of layer2 cross", "shortcut"),
        (Depends(), LAYERS, "cannot be followed from part to part", "must not depend on values"),
        (TwoInputs(), LAYERS, "uses 2 inputs (x, scale)", "one tensor of images"),
        (nn.Identity(), ["layer1"], "no submodule layer1", "no submodules at all"),
    ],
)
def test_what_cannot_be_cut_is_named(
    network: nn.Module, names: Sequence[str], what: str, remedy: str
) -> None:
    if "down" in names[0]:  # a cut inside of a block that has a shortcut
        what = "cross there"
    with pytest.raises(UsageError) as refused:
        cut(network, *names)
    assert refused.value.what.startswith("mine: the teacher")
    assert what in refused.value.what
    assert remedy in refused.value.remedy


MINE = """
from pipeline.ingest.python import OwnModel
from tests.ingest.test_split import ResNet
def model():
    return OwnModel(ResNet(8), ResNet(4), (1, 8, 8), split=SPLIT)
"""


def read(
    folder: Path, split: str, stated: Sequence[str] | None = None
) -> tuple[OpenedModel, Content]:
    (folder / "mine.py").write_text(MINE.replace("SPLIT", split))
    source = SourceModel(source=f"python:{folder}/mine.py:model", split=stated)
    text = f'name = "own"\n[data]\nsource = "digits"\n[model]\nsource = "{source.source}"\n'
    return own_model(source, 1, settings_from(text + TRAINING, folder).training, Silent())


def test_a_profile_s_networks_are_cut_and_their_blocks_exchanged(tmp_path: Path) -> None:
    opened, content = read(tmp_path, repr(LAYERS))
    model = opened.model
    assert model.blocks == 3
    with torch.no_grad():
        assert model(IMAGES, Route.parse("TSS")).shape == (3, 10)
    # What there is between the parts can be lowered: it is traced once more.
    classifier = model.teacher.part(2)
    assert capture(classifier, torch.randn(1, 16, 4, 4), "teacher-2") is not None
    _, other = read(tmp_path, "['layer1.1', 'layer2', 'layer3']")
    assert content.numbers != other.numbers


def test_a_profile_may_say_where_networks_are_cut(tmp_path: Path) -> None:
    _, inside = read(tmp_path, repr(LAYERS))
    _, outside = read(tmp_path, "None", stated=LAYERS)
    assert inside.numbers == outside.numbers
    read(tmp_path, repr(LAYERS), stated=LAYERS)
    with pytest.raises(UsageError, match=r"in the profile \['fc'\]"):
        read(tmp_path, repr(LAYERS), stated=["fc"])
    with pytest.raises(ValidationError, match="split: only for"):
        SourceModel(source="keras:mine:model", split=["layer1"])
    with pytest.raises(ValidationError, match="at least 1"):
        SourceModel(source="python:mine:model", split=[])
    assert SourceModel(source="python:mine:model", split="auto:3").split == ("auto:3",)
    with pytest.raises(ValidationError, match="a list of submodules, or"):
        SourceModel(source="python:mine:model", split="auto:0")


def test_a_network_alone_is_a_teacher_for_the_images_of_the_profile(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("from tests.ingest.test_split import ResNet as model\n")
    model = f'[model]\nsource = "python:{tmp_path}/mine.py:model"\nsplit = "auto:2"\n'
    text = f'name = "own"\n[data]\nsource = "digits"\n{model}'
    student = 'student = { from = "teacher", width = 0.5 }\n'
    settings = settings_from(text + student + TRAINING, tmp_path)
    sourced = ModelSource(settings, Silent()).model
    assert (sourced.blocks, sourced.student.blocks[0][0].conv.out_channels) == (2, 4)
    with pytest.raises(UsageError, match="gives no student"):
        ModelSource(settings_from(text + TRAINING, tmp_path), Silent()).content()
    with pytest.raises(UsageError, match="gave a network alone") as refused:
        open_model(f"python:{tmp_path}/mine.py:model", Silent())
    assert "name the profile" in refused.value.remedy


@pytest.mark.parametrize("split", ["'layer1'", "[]", "[1]", "['']"])
def test_a_split_that_is_no_list_of_paths_is_refused(split: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"split is"):
        read(tmp_path, split)
