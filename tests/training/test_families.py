from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pipeline.core.progress import Silent
from pipeline.model.family import build_model
from pipeline.model.route import prefix_routes
from pipeline.settings import (
    JointDistillation,
    ModelSettings,
    ReferenceDistillation,
    TeacherSettings,
    VggModel,
    VggSettings,
    VitModel,
    VitSettings,
)
from pipeline.training.conditions import Examples, TrainingRun
from pipeline.training.distill import distill
from pipeline.training.fit import reproducible
from pipeline.training.teacher import train_teacher

IMAGE = (1, 8, 8)
FAMILIES: list[ModelSettings] = [
    VggModel(
        family="vgg",
        teacher=VggSettings(widths=(8, 12), depths=(2, 1)),
        student=VggSettings(widths=(4, 6), depths=(1, 1)),
    ),
    VitModel(
        family="vit",
        teacher=VitSettings(patch=4, width=24, heads=3, depths=(2, 1)),
        student=VitSettings(patch=4, width=16, heads=2, depths=(1, 1)),
    ),
]
RECIPES = [
    JointDistillation(recipe="joint", epochs=12, batch_size=16, gradient_norm=1.0),
    ReferenceDistillation(recipe="reference", epochs=12, batch_size=16, gradient_norm=1.0),
]


@pytest.mark.parametrize("settings", RECIPES, ids=lambda settings: settings.recipe)
@pytest.mark.parametrize("family", FAMILIES, ids=lambda model: model.family)
def test_every_recipe_trains_every_family_along_every_prefix_route(
    family: ModelSettings, settings: JointDistillation | ReferenceDistillation, tmp_path: Path
) -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(128) % 2
    # One class is brighter on the left, the other on the right.
    sides = torch.where(torch.arange(8) < 4, 1.0, -1.0) * (1 - 2 * labels).view(-1, 1, 1, 1)
    inputs = 0.5 * torch.randn(128, *IMAGE, generator=generator) + sides
    model = build_model(family, IMAGE, classes=2, seed=0)
    examples = Examples(inputs, labels)
    teaching, distilling = (
        TrainingRun(seed, tmp_path / "checkpoint", Silent()) for seed in range(2)
    )
    with reproducible(threads=1):
        teacher_settings = TeacherSettings(epochs=10, batch_size=16, gradient_norm=1.0)
        train_teacher(model.teacher, examples, teacher_settings, teaching)
        routes = prefix_routes(model.blocks)
        distill(model, examples, routes, settings, distilling)
    for route in prefix_routes(2):
        with torch.no_grad():
            right = model(inputs, route).argmax(dim=1) == labels
        assert right.float().mean() > 0.9, str(route)
