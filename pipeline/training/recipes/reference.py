"""The published recipe (arXiv 2509.22319): five loss terms, one random mixed network each step.

The student's own two terms, synchronisation of features across the converters, reconstruction
through encoder and decoder, and the divergence of a random mixed network from the teacher. It
serves routes in any order; with ``cross = "all"`` it learns from every prefix route in each step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from pipeline.model.pwl import PwlModel
from pipeline.model.route import Route, Variant
from pipeline.settings import ReferenceDistillation
from pipeline.training.losses import distillation, feature_distance, softened_divergence
from pipeline.training.recipes.recipe import Batch, Trainable


class ReferenceRecipe:
    """See the module. One instance a run."""

    def __init__(self, settings: ReferenceDistillation) -> None:
        self._settings = settings

    def trainable(self, model: PwlModel) -> Trainable:
        converters = nn.ModuleDict({"encoders": model.encoders, "decoders": model.decoders})
        module = nn.ModuleDict({"student": model.student, "converters": converters})
        rates = [(list(model.student.parameters()), 1.0)]
        if learned := list(converters.parameters()):
            rates.append((learned, self._settings.converter_rate_scale))
        return Trainable(module, rates)

    def loss(
        self,
        model: PwlModel,
        batch: Batch,
        generator: torch.Generator,
    ) -> Mapping[str, Tensor]:
        settings = self._settings
        learned: list[Tensor] = []
        flow = batch.images
        for block in range(model.blocks):
            flow = model.student.part(block)(flow)
            learned.append(flow)
        target = batch.taught[-1]
        terms = {
            "student": distillation(
                learned[-1], batch.labels, target, settings.alpha, settings.temperature
            )
        }
        if model.blocks == 1:
            return terms
        sync, reconstruction = _converter_losses(model, learned[:-1], batch.taught[:-1])
        if settings.cross == "all":
            mixed = [_prefix_logits(model, batch, count) for count in range(1, model.blocks)]
        else:
            mixed = [model(batch.images, random_mixed_route(model.blocks, generator))]
        divergence = torch.stack(
            [softened_divergence(logits, target, settings.temperature) for logits in mixed]
        ).mean()
        terms["sync"] = settings.sync_weight * sync
        terms["recon"] = settings.reconstruction_weight * reconstruction
        terms["cross"] = settings.cross_weight * divergence
        return terms


def random_mixed_route(blocks: int, generator: torch.Generator) -> Route:
    """A route drawn evenly from all that have both teacher and student blocks."""
    code = int(torch.randint(1, 2**blocks - 1, (1,), generator=generator))
    bits = (code >> block & 1 for block in range(blocks))
    return Route(tuple(Variant.TEACHER if bit else Variant.STUDENT for bit in bits))


def _prefix_logits(model: PwlModel, batch: Batch, teachers: int) -> Tensor:
    """Logits of the route whose first blocks are the teacher's, whose features are known."""
    features: Tensor = model.encoders[teachers - 1](batch.taught[teachers - 1])
    for block in range(teachers, model.blocks):
        features = model.student.part(block)(features)
    return features


def _converter_losses(
    model: PwlModel, learned: Sequence[Tensor], taught: Sequence[Tensor]
) -> tuple[Tensor, Tensor]:
    """Synchronisation and reconstruction, each the mean over the inner boundaries."""
    sync: list[Tensor] = []
    reconstruction: list[Tensor] = []
    for boundary, (student, teacher) in enumerate(zip(learned, taught, strict=True)):
        encode, decode = model.encoders[boundary], model.decoders[boundary]
        encoded, decoded = encode(teacher), decode(student)
        sync.append(feature_distance(student, encoded) + feature_distance(teacher, decoded))
        reconstruction.append(
            feature_distance(teacher, decode(encoded)) + feature_distance(student, encode(decoded))
        )
    return torch.stack(sync).mean(), torch.stack(reconstruction).mean()
