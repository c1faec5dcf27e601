"""Units: the pieces of a model that become programs, with real features to check them on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pipeline.model.keras import parameter_count
from pipeline.model.pwl import PwlModel
from pipeline.model.route import Route, UnitId


@dataclass(frozen=True, slots=True)
class Unit:
    """One module to lower.

    Attributes:
        name: `str` of its UnitId, or the name of a control arm.
        module: in eval mode, as trained.
        inputs: features that reach it for the golden images, ``[n, ...]``.
        outputs: what eager PyTorch makes of them, ``[n, ...]``.
    """

    name: str
    module: nn.Module
    inputs: Tensor
    outputs: Tensor

    @property
    def parameters(self) -> int:
        return parameter_count(self.module)


@torch.no_grad()
def units_of(
    model: PwlModel, routes: Sequence[Route], images: Tensor
) -> tuple[dict[UnitId, Unit], list[Tensor]]:
    """The units that some routes need, and the logits ``[n, classes]`` along each route.

    A unit carries the features of the first route that uses it.

    Args:
        model: in eval mode.
        routes: the stages.
        images: normalised golden images ``[n, channels, height, width]``.
    """
    found: dict[UnitId, Unit] = {}
    logits: list[Tensor] = []
    for route in routes:
        features = images
        for identity in model.units(route):
            module = model.unit(identity)
            outputs = _one_by_one(module, features)
            found.setdefault(identity, Unit(str(identity), module, features, outputs))
            features = outputs
        logits.append(features)
    return found, logits


@torch.no_grad()
def monolith(model: PwlModel, route: Route, name: str, images: Tensor) -> Unit:
    """A whole network as one program: what an app ships that does not load progressively."""
    module = nn.Sequential(*(model.unit(identity) for identity in model.units(route))).eval()
    return Unit(name, module, images, _one_by_one(module, images))


def _one_by_one(module: nn.Module, inputs: Tensor) -> Tensor:
    """Runs images one at a time, as the device will: sums may differ with the batch size."""
    return torch.cat([module(item) for item in torch.split(inputs, 1)])
