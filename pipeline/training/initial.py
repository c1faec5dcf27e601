"""The weights that a model of a family begins with: its family's own, or the paper's."""

from __future__ import annotations

import torch
from torch import nn

from pipeline.model.blocknet import BlockNet
from pipeline.model.family import build_model
from pipeline.model.pwl import PwlModel
from pipeline.model.vit import PatchEmbedding
from pipeline.settings import FamilyModel, TrainingSettings

_STD = 0.02


def initial_model(
    settings: FamilyModel,
    training: TrainingSettings | None,
    image_shape: tuple[int, ...],
    classes: int,
    seed: int,
) -> PwlModel:
    """A fresh model with the initial weights that the ``[training]`` table asks for.

    Args:
        settings: the ``[model]`` table of a profile.
        training: the ``[training]`` table.
        image_shape: channels, height, width of one image.
        classes: number of labels.
        seed: the same seed gives the same weights.

    Raises:
        UsageError: as `build_model`.
    """
    model = build_model(settings, image_shape, classes, seed)
    if training is not None:
        if training.teacher is not None and training.teacher.initial_weights == "normal":
            draw_normal(model.teacher, 2 * seed)
        if training.distillation.initial_weights == "normal":
            draw_normal(model.student, 2 * seed + 1)
    return model


def draw_normal(network: BlockNet, seed: int) -> None:
    """Draws the weights of a fresh network from N(0, 0.02), in place; biases become 0.

    So do the convolutions, linear layers, class tokens and positions of the official code of
    arXiv 2509.22319 begin, whose networks are Hugging Face models with `initializer_range` 0.02.
    Normalizations keep their weights of 1 and biases of 0.

    Args:
        network: of one of the families.
        seed: the same seed gives the same weights.
    """
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        match module:
            case nn.Conv2d() | nn.Linear():
                nn.init.normal_(module.weight, std=_STD, generator=generator)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            case PatchEmbedding():
                nn.init.normal_(module.class_token, std=_STD, generator=generator)
                nn.init.normal_(module.positions, std=_STD, generator=generator)
