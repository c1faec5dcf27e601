"""The joint recipe: the student path and every path that will ship in one batch.

Each student block runs once, on the features of all paths that lead through it together. Batch
normalization then normalizes with the mixture that its running averages will hold at inference.
Paths share what they have in common; nothing is learnt by the teacher, and what it makes of its own
features is given, not computed. The model serves the routes that it was trained for and no others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from pipeline.model.pwl import PwlModel
from pipeline.model.route import Role, Route
from pipeline.settings import JointDistillation
from pipeline.training.losses import distillation
from pipeline.training.recipes.paths import path_outputs
from pipeline.training.recipes.recipe import Batch, Trainable, random_mixed_route


class JointRecipe:
    """See the module. One instance a run.

    Args:
        settings: the ``[training.distillation]`` table.
        routes: that the model will serve, all student among them; None: any. Then every batch has
            as many random routes as there are prefix routes.
    """

    def __init__(self, settings: JointDistillation, routes: Sequence[Route] | None) -> None:
        self._settings = settings
        self._routes = routes

    def trainable(self, model: PwlModel) -> Trainable:
        parts: dict[str, nn.Module] = {"student": model.student, "encoders": model.encoders}
        units = (unit for route in self._routes or () for unit in route.units())
        if self._routes is None or any(unit.role is Role.DECODER for unit in units):
            parts["decoders"] = model.decoders
        module = nn.ModuleDict(parts)
        return Trainable(module, [(list(module.parameters()), 1.0)])

    def loss(
        self,
        model: PwlModel,
        batch: Batch,
        generator: torch.Generator,
    ) -> Mapping[str, Tensor]:
        settings = self._settings
        student = Route.prefix(model.blocks, 0)
        if self._routes is None:
            drawn = (random_mixed_route(model.blocks, generator) for _ in range(model.blocks - 1))
            routes = list(dict.fromkeys([student, *drawn]))
        else:
            routes = [route for route in self._routes if not route.all_teacher]
        losses = {
            route: distillation(
                logits,
                batch.labels,
                batch.teacher_outputs[-1],
                settings.alpha,
                settings.temperature,
            )
            for route, logits in path_outputs(model, routes, batch).items()
        }
        own = losses.pop(student)
        if not losses:
            return {"student": own}
        crossing = torch.stack(list(losses.values())).mean()
        return {"student": own, "cross": settings.cross_weight * crossing}
