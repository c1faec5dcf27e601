"""The recipes by their settings."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.model.route import Route
from pipeline.settings import JointDistillation, ReferenceDistillation
from pipeline.training.recipes.joint import JointRecipe
from pipeline.training.recipes.recipe import Recipe
from pipeline.training.recipes.reference import ReferenceRecipe


def recipe_for(
    settings: JointDistillation | ReferenceDistillation, routes: Sequence[Route] | None
) -> Recipe:
    """The recipe that a profile's ``[training.distillation]`` table names.

    Args:
        settings: that table.
        routes: that the model will serve; None: any.
    """
    match settings:
        case JointDistillation():
            return JointRecipe(settings, routes)
        case ReferenceDistillation():
            return ReferenceRecipe(settings, routes)
