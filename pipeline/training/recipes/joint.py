"""The joint recipe: the student path and every prefix path in one batch.

Each student block runs once, on the student's own features and on the encoded features of every
prefix path together. Batch normalisation then normalises with the mixture that its running averages
will hold at inference. Nothing flows back through the teacher, so its features can be cached.
It serves routes in prefix order only.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from pipeline.model.pwl import PwlModel
from pipeline.settings import JointDistillation
from pipeline.training.losses import distillation
from pipeline.training.recipes.recipe import Batch, Trainable


class JointRecipe:
    """See the module. One instance a run."""

    def __init__(self, settings: JointDistillation) -> None:
        self._settings = settings

    def trainable(self, model: PwlModel) -> Trainable:
        module = nn.ModuleDict({"student": model.student, "encoders": model.encoders})
        return Trainable(module, [(list(module.parameters()), 1.0)])

    def loss(
        self,
        model: PwlModel,
        batch: Batch,
        generator: torch.Generator,
    ) -> Mapping[str, Tensor]:
        settings = self._settings
        paths = batch.images
        for block in range(model.blocks):
            paths = model.student.part(block)(paths)
            if block < model.blocks - 1:
                paths = torch.cat([paths, model.encoders[block](batch.taught[block])])
        own, *crossing = (
            distillation(
                logits, batch.labels, batch.taught[-1], settings.alpha, settings.temperature
            )
            for logits in torch.split(paths, len(batch.labels))
        )
        if not crossing:
            return {"student": own}
        return {"student": own, "cross": settings.cross_weight * torch.stack(crossing).mean()}
