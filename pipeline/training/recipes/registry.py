"""The recipes by their settings."""

from __future__ import annotations

from pipeline.settings import JointDistillation, ReferenceDistillation
from pipeline.training.recipes.joint import JointRecipe
from pipeline.training.recipes.recipe import Recipe
from pipeline.training.recipes.reference import ReferenceRecipe


def recipe_for(settings: JointDistillation | ReferenceDistillation) -> Recipe:
    """The recipe that a profile's ``[training.distillation]`` table names."""
    match settings:
        case JointDistillation():
            return JointRecipe(settings)
        case ReferenceDistillation():
            return ReferenceRecipe(settings)
