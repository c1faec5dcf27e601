"""Maps ``[n, h, w, c]`` between blocks, as Swin's, on their way in."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from pipeline.core.progress import Silent
from pipeline.ingest.channels_last import boundaries_channels_last
from pipeline.ingest.intake import own_model
from pipeline.model.blocknet import BlockNet
from pipeline.model.pwl import PwlModel
from pipeline.model.route import Route
from pipeline.settings import SourceModel
from tests.fixtures import settings_from
from tests.ingest.test_python import TRAINING

IMAGES = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
MINE = """
import torch
from torch import nn
from tests.models.transformers import Swin as alone
from pipeline.ingest.python import OwnModel
class Last(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(32, 16)
    def forward(self, x):
        return self.linear(x)
def pair():
    return OwnModel(alone(16), alone(8), (3, 32, 32), encoders=[Last()])
"""
SPLIT = ["features[1:3]", "features[3:4]"]


def read(folder: Path, function: str, student: dict[str, object] | None = None) -> PwlModel:
    (folder / "mine.py").write_text(MINE)
    source = SourceModel(source=f"python:{folder}/mine.py:{function}", split=SPLIT, student=student)
    text = f'name = "own"\n[data]\nsource = "digits"\n[model]\nsource = "{source.source}"\n'
    training = settings_from(text + TRAINING, folder).training
    return own_model(source, 1, training, Silent(), lambda: (3, 32, 32))[0].model


def test_blocks_hand_on_images_whatever_is_inside(tmp_path: Path) -> None:
    model = read(tmp_path, "alone", {"from": "teacher", "width": 0.5})
    assert isinstance(model.encoders[0], nn.Conv2d)
    features = model.teacher.blocks[0](model.teacher.embedder(IMAGES))
    assert features.shape == (2, 32, 4, 4)
    teacher = model.teacher
    own = [block.get_submodule("module") for block in teacher.blocks]
    plain = BlockNet(teacher.embedder, own, teacher.classifier)
    assert torch.equal(teacher(IMAGES), plain(IMAGES))
    with torch.no_grad():
        for route in ("SS", "TS", "TT"):
            assert model(IMAGES, Route.parse(route)).shape == (2, 6)


def test_a_converter_of_the_users_takes_maps_as_the_users_blocks_give_them(tmp_path: Path) -> None:
    model = read(tmp_path, "pair")
    with torch.no_grad():
        features = model.teacher.blocks[0](model.teacher.embedder(IMAGES))
        assert model.encoders[0](features).shape == (2, 16, 4, 4)
        assert model(IMAGES, Route.parse("TS")).shape == (2, 6)


@pytest.mark.parametrize(
    ("teacher", "student", "image", "last"),
    [
        ((8, 8, 16), (8, 8, 4), (32, 32), True),
        ((16, 8, 8), (4, 8, 8), (32, 32), False),
        ((8, 8, 16), (8, 8, 16), (32, 32), True),
        ((16, 8, 8), (16, 8, 8), (32, 32), False),
        ((8, 8, 8), (8, 8, 8), (32, 32), False),  # nothing has to be told apart
        ((8, 8, 8), (8, 8, 4), (32, 32), True),
        ((4, 8, 16), (4, 8, 4), (16, 32), True),
        ((3, 8, 16), (3, 8, 8), (32, 64), False),  # unequal strides, which no converter mends
        ((49, 16), (49, 4), (32, 32), False),
    ],
)
def test_the_order_of_axes_is_told_by_the_shape_of_the_images(
    teacher: tuple[int, ...], student: tuple[int, ...], image: tuple[int, int], last: bool
) -> None:
    ends = [torch.zeros(1, 6), torch.zeros(1, 6)]
    mine, other = ([torch.zeros(1, *shape), *ends] for shape in (teacher, student))
    assert boundaries_channels_last(mine, other, torch.zeros(1, 3, *image)) == [last]
