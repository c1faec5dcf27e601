"""Students that are made of their teachers."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from pipeline.core.errors import UsageError
from pipeline.core.progress import Silent
from pipeline.ingest.intake import own_model
from pipeline.ingest.slim import slimmed
from pipeline.ingest.split import split_network
from pipeline.model.blocknet import BlockNet
from pipeline.model.pwl import PwlModel
from pipeline.model.route import Route
from pipeline.settings import SourceModel
from tests.fixtures import settings_from
from tests.ingest.test_python import TRAINING
from tests.ingest.test_split import IMAGES, LAYERS, Residual, ResNet, cut
from tests.models.convolutional import ConvNeXt
from tests.models.transformers import DeiT, ViT


def channels(network: nn.Module) -> list[tuple[int, int]]:
    return [
        (part.in_channels, part.out_channels)
        for part in network.modules()
        if isinstance(part, nn.Conv2d)
    ]


def of(*blocks: nn.Module, embedder: nn.Module | None = None, out: int = 8) -> BlockNet:
    head = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * out, 10))
    return BlockNet(embedder or nn.Identity(), blocks, head).eval()


def test_channels_are_scaled_and_logits_are_not() -> None:
    teacher = cut(ResNet(8), *LAYERS)
    slim = slimmed("mine", teacher, (1, 8, 8), 0.5, 1)
    assert channels(slim) == [(1, 4), (4, 4), (4, 4), (4, 8), (4, 8), (8, 8)]
    assert channels(teacher)[0] == (1, 8)  # as it was
    assert slim(IMAGES).shape == (3, 10)
    assert all(parameter.requires_grad for parameter in slim.parameters())
    shared = {id(parameter) for parameter in teacher.parameters()}
    assert not shared & {id(parameter) for parameter in slim.parameters()}


@pytest.mark.parametrize(
    "normalized",
    [
        nn.utils.parametrizations.weight_norm,
        nn.utils.parametrizations.spectral_norm,
        nn.utils.weight_norm,
        nn.utils.spectral_norm,
    ],
)
def test_weights_that_are_computed_are_plain_in_a_student(
    normalized: Callable[[nn.Module], nn.Module],
) -> None:
    layers = (normalized(nn.Conv2d(1 if not i else 8, 8, 3)) for i in range(3))
    with warnings.catch_warnings():  # torch's, of its older functions
        warnings.simplefilter("ignore", FutureWarning)
        teacher = of(*layers)
    names, answers = [*teacher.state_dict()], teacher(IMAGES)
    slim = slimmed("mine", teacher, (1, 8, 8), 0.5, 1)
    assert channels(slim) == [(1, 4), (4, 4), (4, 4)]
    assert {"blocks.0.weight", "blocks.0.bias"} == {*[*slim.state_dict()][:2]}
    assert [*teacher.state_dict()] == names  # as it was
    torch.testing.assert_close(teacher(IMAGES), answers)


def test_depth_leaves_equal_neighbors_out_within_a_block() -> None:
    blocks = [nn.Sequential(*(Residual(8, 8) for _ in range(4))) for _ in range(2)]
    teacher = of(*blocks, embedder=nn.Conv2d(1, 8, 3))
    slim = slimmed("mine", teacher, (1, 8, 8), 0.5, 0.5)
    assert len(slim) == 2  # blocks alike stay
    assert [len(block) for block in slim.blocks] == [2, 2]
    assert slim(IMAGES).shape == (3, 10)


def test_layers_with_and_without_an_activation_are_not_alike() -> None:
    """As of a residual layer of transformers: the second one has none, and what it gives is added
    to in place, which no activation's gradient survives."""
    convolution = partial(nn.Conv2d, 8, 8, 3, padding=1)
    first, second = nn.Sequential(convolution(), nn.ReLU()), nn.Sequential(convolution())
    second.append(nn.Identity())
    teacher = of(nn.Sequential(first, second), embedder=nn.Conv2d(1, 8, 3))
    assert len(slimmed("mine", teacher, (1, 8, 8), 0.5, 0.5).blocks[0]) == 2
    first[1] = nn.Dropout(0.1).eval()
    assert len(slimmed("mine", teacher, (1, 8, 8), 0.5, 0.5).blocks[0]) == 1


def test_depthwise_grouped_and_normalizing_layers_follow() -> None:
    block = nn.Sequential(
        nn.Conv2d(1, 16, 3),
        nn.Conv2d(16, 32, 3, padding=1, groups=16, bias=False),  # depthwise, twice as many
        nn.Conv2d(32, 12, 1, groups=4),
        nn.GroupNorm(6, 12),
        nn.BatchNorm2d(12),
    )
    slim = slimmed("mine", of(block, out=12), (1, 8, 8), 0.3, 1)
    layers: list[Any] = [*slim.blocks[0].children()]
    first, depthwise, grouped, normalizes, batch = layers
    assert (first.out_channels, depthwise.groups, depthwise.out_channels) == (4, 4, 8)
    assert (grouped.in_channels, grouped.out_channels, grouped.groups) == (8, 4, 4)
    assert (normalizes.num_channels, normalizes.num_groups) == (4, 2)
    assert (batch.num_features, batch.running_mean.shape) == (4, (4,))
    assert depthwise.bias is None
    assert slim(IMAGES).shape == (3, 10)


def test_layers_over_tokens_follow() -> None:
    class Tokens(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.flatten(2).transpose(1, 2)

    body = nn.Sequential(nn.Linear(16, 16), nn.LayerNorm(16), nn.GELU(), nn.Linear(16, 8))
    head = nn.Sequential(nn.Linear(8, 10))
    embedder = nn.Sequential(nn.Conv2d(1, 16, 4, 4), Tokens())

    class Mean(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.mean(1)

    teacher = BlockNet(embedder, [body], nn.Sequential(Mean(), head)).eval()
    slim = slimmed("mine", teacher, (1, 8, 8), 0.25, 1)
    assert slim.blocks[0](slim.embedder(IMAGES)).shape == (3, 4, 2)
    assert slim(IMAGES).shape == (3, 10)


@pytest.mark.parametrize(
    ("make", "width", "channels"),
    [
        (ConvNeXt, 0.25, (4, 4, 4)),
        (DeiT, 0.3, (18, 6)),  # 7 channels cannot be shared out among 3 heads
        (ViT, 0.5, (17, 12)),
    ],
)
def test_scales_tables_tokens_and_heads_follow(
    make: Callable[[], nn.Module], width: float, channels: tuple[int, ...]
) -> None:
    torch.manual_seed(0)
    network = make().eval()
    images = torch.randn(2, 3, 32, 32)
    teacher = split_network("mine", "teacher", network, ["auto:2"], images).eval()
    slim = slimmed("mine", teacher, (3, 32, 32), width, 0.5)
    assert slim.boundaries((3, 32, 32))[0] == channels
    assert slim(images).shape == (2, 6)
    # All of it learns, and none of it is the teacher's.
    slim.train()(images).sum().backward()
    assert all(parameter.grad is not None for parameter in slim.parameters())
    with torch.no_grad():
        for parameter in slim.parameters():
            parameter.zero_()
        assert torch.equal(teacher(images), network(images))


def test_a_share_that_fits_no_attention_is_refused() -> None:
    teacher = split_network("mine", "teacher", DeiT().eval(), ["auto:1"], torch.ones(2, 3, 32, 32))
    with pytest.raises(UsageError, match="does not run with fewer channels") as refused:
        slimmed("mine", teacher.eval(), (3, 32, 32), 0.05, 1)
    assert "python:FILE.py:FUNCTION" in refused.value.remedy


class Fixed(nn.Module):
    """Knows how many channels there are, and perhaps images."""

    def __init__(self, images: int) -> None:
        super().__init__()
        self.images = images

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(self.images or len(x), 8, 6, 6)


@pytest.mark.parametrize(
    ("blocks", "said"),
    [
        ([nn.Conv2d(1, 8, 3), Fixed(-1)], r"gives \[1, 10\] with fewer channels instead of"),
        (
            [nn.Conv2d(1, 8, 3), Fixed(0)],
            r"with fewer channels, in blocks\.\d.*: RuntimeError",
        ),
    ],
)
def test_what_cannot_be_made_slimmer_is_named(blocks: Sequence[nn.Module], said: str) -> None:
    with pytest.raises(UsageError, match=said) as refused:
        slimmed("mine", of(*blocks), (1, 8, 8), 0.5, 1)
    assert "write the student yourself" in refused.value.remedy


def test_a_teacher_that_does_not_run_is_not_blamed_on_fewer_channels() -> None:
    broken = of(nn.Conv2d(3, 8, 3))  # for images of one channel
    with pytest.raises(UsageError, match=r"mine: teacher block 0, given \[2, 1, 8, 8\], failed"):
        slimmed("mine", broken, (1, 8, 8), 0.5, 1)


MINE = """
from pipeline.ingest.python import OwnModel
from tests.ingest.test_split import ResNet
def model():
    return OwnModel(ResNet(8), STUDENT, (1, 8, 8), split=["layer1", "layer2", "layer3"])
"""


def read(folder: Path, table: dict[str, object] | None, student: str = "None") -> PwlModel:
    (folder / "mine.py").write_text(MINE.replace("STUDENT", student))
    source = SourceModel(source=f"python:{folder}/mine.py:model", student=table)
    text = f'name = "own"\n[data]\nsource = "digits"\n[model]\nsource = "{source.source}"\n'
    return own_model(source, 1, settings_from(text + TRAINING, folder).training, Silent())[0].model


def test_a_profile_makes_the_student_the_same_each_time(tmp_path: Path) -> None:
    half = read(tmp_path, {"from": "teacher", "width": 0.5})
    again = read(tmp_path, {"from": "teacher", "width": 0.5})
    routes = [Route.parse("SSS"), Route.parse("TSS"), Route.parse("TTT")]
    with torch.no_grad():
        assert all(torch.equal(half(IMAGES, route), again(IMAGES, route)) for route in routes)
    assert channels(half.student)[0] == (1, 4)


def test_a_student_is_given_or_made_and_not_both(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="gives no student") as refused:
        read(tmp_path, None)
    assert 'from = "teacher"' in refused.value.remedy
    with pytest.raises(UsageError, match=r"and the profile has \[model\.student\]"):
        read(tmp_path, {"from": "teacher", "width": 0.5}, "ResNet(4)")
    for table in ({"width": 0.5}, {"from": "teacher", "width": 0}, {"from": "x", "width": 1}):
        with pytest.raises(ValidationError):
            SourceModel(source="python:mine:model", student=table)
