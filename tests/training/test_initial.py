from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from pipeline.core.errors import UsageError
from pipeline.core.progress import Silent
from pipeline.model.blocknet import BlockNet
from pipeline.model.family import build_model
from pipeline.model.vit import PatchEmbedding
from pipeline.settings import (
    FamilyModel,
    ResNetModel,
    ResNetSettings,
    VggModel,
    VggSettings,
    VitModel,
    VitSettings,
)
from pipeline.training.initial import draw_normal
from pipeline.workflows.load_model import trained_model
from tests.fixtures import TINY_PROFILE, settings_from

SHAPE = (3, 8, 8)
RESNET = ResNetSettings(widths=(32, 64), depths=(1, 1))
VGG = VggSettings(widths=(32, 64), depths=(1, 1))
VIT = VitSettings(patch=2, width=48, heads=3, depths=(1, 1))
FAMILIES: list[FamilyModel] = [
    ResNetModel(family="resnet", teacher=RESNET, student=RESNET),
    VggModel(family="vgg", teacher=VGG, student=VGG),
    VitModel(family="vit", teacher=VIT, student=VIT),
]


def drawn(network: BlockNet) -> list[Tensor]:
    """The tensors that are drawn at random."""
    found: list[Tensor] = []
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            found.append(module.weight)
        if isinstance(module, PatchEmbedding):
            found += [module.class_token, module.positions]
    return found


@pytest.mark.parametrize("settings", FAMILIES, ids=lambda settings: settings.family)
def test_weights_are_normal_and_all_the_rest_is_neutral(settings: FamilyModel) -> None:
    network = build_model(settings, SHAPE, 10, seed=0).student
    draw_normal(network, seed=1)
    tensors = drawn(network)
    for tensor in tensors:
        # Six standard deviations of what so many numbers scatter by.
        assert tensor.std().item() == pytest.approx(0.02, rel=6 / (2 * tensor.numel()) ** 0.5)
        assert abs(tensor.mean().item()) < 6 * 0.02 / tensor.numel() ** 0.5
    random = {id(tensor) for tensor in tensors}
    for name, parameter in network.named_parameters():
        if id(parameter) not in random:
            wanted = 0.0 if name.endswith("bias") else 1.0
            assert torch.equal(parameter, torch.full_like(parameter, wanted)), name


def test_the_seed_decides() -> None:
    networks = [build_model(FAMILIES[0], SHAPE, 10, seed=0).student for _ in range(3)]
    for network, seed in zip(networks, (1, 1, 2), strict=True):
        draw_normal(network, seed)
    first, again, other = (drawn(network)[0] for network in networks)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_profile_decides_for_teacher_and_student(tmp_path: Path) -> None:
    plain = TINY_PROFILE
    reference = TINY_PROFILE.replace('"joint"', '"reference"')
    both = reference.replace("[training.teacher]", '[training.teacher]\ninitial_weights = "normal"')
    family = reference.replace('"reference"', '"reference"\ninitial_weights = "family"')

    def spreads(profile: str) -> tuple[bool, bool]:
        """Whether teacher and student begin with the family's own weights."""
        settings = settings_from(profile, tmp_path)
        model = trained_model(settings, tmp_path, Silent()).model
        assert isinstance(settings.model, ResNetModel)
        own = build_model(settings.model, (1, 8, 8), 10, settings.seed)
        return (
            torch.equal(drawn(model.teacher)[0], drawn(own.teacher)[0]),
            torch.equal(drawn(model.student)[0], drawn(own.student)[0]),
        )

    assert spreads(plain) == (True, True)
    assert spreads(reference) == (True, False)
    assert spreads(both) == (False, False)
    assert spreads(family) == (True, True)


def test_a_model_of_ones_own_keeps_its_weights(tmp_path: Path) -> None:
    head, _, tail = TINY_PROFILE.partition("[model]")
    training = tail[tail.index("[training]") :]
    own = f'{head}[model]\nsource = "python:own.py:model"\n\n{training}'
    settings_from(own.replace('"joint"', '"reference"'), tmp_path)
    with pytest.raises(UsageError, match="initial_weights is for the families"):
        settings_from(own.replace('"joint"', '"joint"\ninitial_weights = "normal"'), tmp_path)
