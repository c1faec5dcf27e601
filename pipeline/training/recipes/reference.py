"""The published recipe (arXiv 2509.22319): five loss terms, one random mixed network each step.

The student's own two terms, synchronization of features across the converters, reconstruction
through encoder and decoder, and the divergence of a random mixed network from the teacher. It
serves routes in any order; with ``cross = "all"`` every route of one order learns the labels and
from the teacher in each step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from pipeline.model.pwl import PwlModel
from pipeline.model.route import Route
from pipeline.settings import ReferenceDistillation
from pipeline.training.losses import distillation, feature_distance, imitation
from pipeline.training.recipes.recipe import Batch, Trainable, random_mixed_route


class ReferenceRecipe:
    """See the module. One instance a run.

    Args:
        settings: the ``[training.distillation]`` table.
        routes: that the model will serve; None: any. Only ``cross = "all"`` asks for them; if any,
            it takes as many random ones as there are mixed prefix routes.
    """

    def __init__(self, settings: ReferenceDistillation, routes: Sequence[Route] | None) -> None:
        self._settings = settings
        self._routes = routes

    def trainable(self, model: PwlModel) -> Trainable:
        converters = nn.ModuleDict({"encoders": model.encoders, "decoders": model.decoders})
        module = nn.ModuleDict({"student": model.student, "converters": converters})
        rates = [(list(model.student.parameters()), 1.0)]
        if weights := list(converters.parameters()):
            rates.append((weights, self._settings.converter_rate_scale))
        return Trainable(module, rates)

    def loss(
        self,
        model: PwlModel,
        batch: Batch,
        generator: torch.Generator,
    ) -> Mapping[str, Tensor]:
        settings = self._settings
        student_outputs: list[Tensor] = []
        flow = batch.images
        for block in range(model.blocks):
            flow = model.student.part(block)(flow)
            student_outputs.append(flow)
        target = batch.teacher_outputs[-1]
        terms = {
            "student": distillation(
                student_outputs[-1], batch.labels, target, settings.alpha, settings.temperature
            )
        }
        if model.blocks == 1:
            return terms
        sync, reconstruction = _converter_losses(
            model, student_outputs[:-1], batch.teacher_outputs[:-1]
        )
        terms["sync"] = settings.sync_weight * sync
        terms["recon"] = settings.reconstruction_weight * reconstruction
        terms["cross"] = settings.cross_weight * self._crossing(model, batch, generator)
        return terms

    def _crossing(self, model: PwlModel, batch: Batch, generator: torch.Generator) -> Tensor:
        """The loss of the mixed networks of one step, unweighted."""
        settings, target = self._settings, batch.teacher_outputs[-1]
        if settings.cross == "random":
            logits = _route_logits(model, batch, random_mixed_route(model.blocks, generator))
            return imitation(logits, batch.labels, target, settings.temperature)
        if self._routes is None:
            drawn = (random_mixed_route(model.blocks, generator) for _ in range(model.blocks - 1))
            routes = list(dict.fromkeys(drawn))
        else:
            routes = [route for route in self._routes if route.mixed]
        if not routes:
            return target.new_zeros(())
        losses = [
            distillation(
                _route_logits(model, batch, route),
                *(batch.labels, target, settings.alpha, settings.temperature),
            )
            for route in routes
        ]
        return torch.stack(losses).mean()


def _route_logits(model: PwlModel, batch: Batch, route: Route) -> Tensor:
    """Logits along a route; what the teacher makes of the images at its beginning is known."""
    known = len(route) - len(str(route).lstrip("T"))
    features = batch.teacher_outputs[known - 1] if known else batch.images
    for unit in model.units(route)[known:]:
        features = model.unit(unit)(features)
    return features


def _converter_losses(
    model: PwlModel, student_outputs: Sequence[Tensor], teacher_outputs: Sequence[Tensor]
) -> tuple[Tensor, Tensor]:
    """Synchronization and reconstruction, each the mean over the inner boundaries."""
    sync: list[Tensor] = []
    reconstruction: list[Tensor] = []
    for boundary, (student, teacher) in enumerate(
        zip(student_outputs, teacher_outputs, strict=True)
    ):
        encode, decode = model.encoders[boundary], model.decoders[boundary]
        encoded, decoded = encode(teacher), decode(student)
        sync.append(feature_distance(student, encoded) + feature_distance(teacher, decoded))
        reconstruction.append(
            feature_distance(teacher, decode(encoded)) + feature_distance(student, encode(decoded))
        )
    return torch.stack(sync).mean(), torch.stack(reconstruction).mean()
