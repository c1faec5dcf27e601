"""Distillation: trains the student and the converters with the recipe that the profile names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from pipeline.core.progress import Progress
from pipeline.data.normalization import Inputs
from pipeline.model.pwl import PwlModel
from pipeline.model.route import Route, prefix_routes
from pipeline.settings import JointDistillation, ReferenceDistillation
from pipeline.training.conditions import Conditions
from pipeline.training.early import EarlyImages
from pipeline.training.features import TeacherFeatures
from pipeline.training.fit import Phase, fit
from pipeline.training.recipes.recipe import Batch
from pipeline.training.recipes.registry import recipe_for


def distill(
    model: PwlModel,
    inputs: Inputs,
    labels: Tensor,
    routes: Sequence[Route] | None,
    settings: JointDistillation | ReferenceDistillation,
    *,
    feature_cache_mb: int,
    seed: int,
    checkpoint: Path,
    progress: Progress,
    conditions: Conditions | None = None,
) -> None:
    """Trains the student and the converters of a model in place; the teacher stays as it is.

    Args:
        model: with a trained teacher.
        inputs: normalized images.
        labels: int64 ``[n]``.
        routes: that the model will serve; None: any.
        settings: the ``[training.distillation]`` table.
        feature_cache_mb: memory that the teacher's features may take.
        seed: decides the order of the batches and every random choice of the recipe.
        checkpoint: where an interrupted run goes on from.
        progress: told every loss term, and early accuracy along every route.
        conditions: of the run; those of a default `Conditions` if they are left out.
    """
    conditions = conditions or Conditions()
    augmented = conditions.augmentation is not None
    model.to(conditions.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    model.teacher.eval().requires_grad_(False)
    recipe = recipe_for(settings, routes)
    trainable = recipe.trainable(model)
    features = TeacherFeatures(model.teacher, inputs, 0 if augmented else feature_cache_mb)

    def step(indices: Tensor, generator: torch.Generator) -> Mapping[str, Tensor]:
        drawn = conditions.draw(inputs, labels, indices, generator)
        teacher_outputs = features.of(drawn.images) if augmented else features.batch(drawn.indices)
        with conditions.arithmetic():
            return recipe.loss(model, Batch(drawn.images, drawn.labels, teacher_outputs), generator)

    title = f"distil ({settings.recipe})"
    early = EarlyImages(inputs, labels, conditions.device)
    student = Route.prefix(model.blocks, 0)
    watched = [route for route in routes or [student] if not route.all_teacher]
    name = _log_name(settings, routes)
    phase = Phase(
        *(title, name, trainable.module, trainable.rates, len(labels), seed, checkpoint),
        watch=lambda: early.of_routes(model, features, watched),
    )
    fit(phase, settings, step, progress, conditions)
    model.eval()


def _log_name(
    settings: JointDistillation | ReferenceDistillation, routes: Sequence[Route] | None
) -> str:
    """A name in the training log that no other training of the same profile has."""
    if not settings.depends_on_routes:
        return "distillation"
    if routes is None:
        return "distillation-any"
    if tuple(routes) == prefix_routes(len(routes) - 1):
        return "distillation"
    return "-".join(["distillation", *(str(route) for route in routes if route.mixed)])
