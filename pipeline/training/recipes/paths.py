"""Several routes at once: what they have in common is computed once, and each block runs once."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pipeline.model.pwl import PwlModel
from pipeline.model.route import Role, Route, UnitId, Variant
from pipeline.training.recipes.recipe import Batch

Path = tuple[Variant, ...]


def path_outputs(model: PwlModel, routes: Sequence[Route], batch: Batch) -> dict[Route, Tensor]:
    """The logits ``[batch, classes]`` along some routes, each block run once on all of them.

    Args:
        model: any route of which can be run.
        routes: none of them all teacher.
        batch: images, and what the teacher says about them.
    """
    features: dict[Path, Tensor] = {(): batch.images}
    for block in range(model.blocks):
        ahead: dict[Path, Tensor] = {}
        for variant, role in ((Variant.STUDENT, Role.STUDENT), (Variant.TEACHER, Role.TEACHER)):
            paths = dict.fromkeys(
                route.variants[: block + 1] for route in routes if route.variants[block] == variant
            )
            pure = (Variant.TEACHER,) * (block + 1)
            if pure in paths:
                del paths[pure]
                ahead[pure] = batch.teacher_outputs[block]
            if paths:
                inputs = [_entering(model, features[path[:-1]], path) for path in paths]
                outputs = model.unit(UnitId(role, block))(torch.cat(inputs))
                ahead |= zip(paths, torch.split(outputs, len(batch.labels)), strict=True)
        features = ahead
    return {route: features[route.variants] for route in routes}


def _entering(model: PwlModel, features: Tensor, path: Path) -> Tensor:
    """The features that enter the last block of a path: converted where the variant changes."""
    *_, before, variant = (None, *path)
    if before in (None, variant):
        return features
    role = Role.ENCODER if variant is Variant.STUDENT else Role.DECODER
    converted: Tensor = model.unit(UnitId(role, len(path) - 2))(features)
    return converted
