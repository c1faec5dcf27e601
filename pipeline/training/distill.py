"""Distillation: trains the student and the converters with the recipe that the profile names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from pipeline.model.pwl import PwlModel
from pipeline.model.route import Route, prefix_routes
from pipeline.settings import FeatureStorage, JointDistillation, ReferenceDistillation
from pipeline.training.conditions import Examples, TrainingRun
from pipeline.training.early import EarlyImages
from pipeline.training.features import TeacherFeatures
from pipeline.training.fit import Phase, fit
from pipeline.training.gradient_layout import matching_gradients
from pipeline.training.kept_features import FeatureKeeping
from pipeline.training.recipes.recipe import Batch
from pipeline.training.recipes.recipe_registry import recipe_for


def distill(
    model: PwlModel,
    examples: Examples,
    routes: Sequence[Route] | None,
    settings: JointDistillation | ReferenceDistillation,
    run: TrainingRun,
    *,
    storage: FeatureStorage = "auto",
) -> None:
    """Trains the student and the converters of a model in place; the teacher stays as it is.

    Args:
        model: with a trained teacher.
        examples: what they learn from.
        routes: that the model will serve; None: any.
        settings: the ``[training.distillation]`` table.
        run: how.
        storage: where the teacher's features are kept, if on disk beside `run.checkpoint`. Those of
            augmented images are kept nowhere.

    Raises:
        DeviceError: there is no room for the teacher's features.
    """
    conditions = run.conditions
    augmented = conditions.augmentation is not None
    model.to(conditions.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    model.teacher.eval().requires_grad_(False)
    recipe = recipe_for(settings, routes)
    trainable = recipe.trainable(model)
    keeping = FeatureKeeping(
        storage, run.checkpoint.parent, run.progress, conditions.processes.count
    )
    features = TeacherFeatures(model.teacher, examples.inputs, None if augmented else keeping)

    def step(indices: Tensor, generator: torch.Generator) -> Mapping[str, Tensor]:
        drawn = conditions.draw(examples, indices, generator)
        teacher_outputs = features.of(drawn.images) if augmented else features.batch(drawn.indices)
        with conditions.arithmetic():
            return recipe.loss(model, Batch(drawn.images, drawn.labels, teacher_outputs), generator)

    title = f"distil ({settings.recipe})"
    early = EarlyImages(examples, conditions.device)
    student = Route.prefix(model.blocks, 0)
    watched = [route for route in routes or [student] if not route.all_teacher]
    name = _log_name(settings, routes)
    phase = Phase(
        *(title, name, trainable.module, trainable.rates, len(examples), run.seed, run.checkpoint),
        watch=lambda: early.of_routes(model, features, watched),
    )
    with matching_gradients(model):
        fit(phase, settings, step, run.progress, conditions)
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
