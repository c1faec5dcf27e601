"""Units: the pieces of a model that become programs, with real features to check them on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from pipeline.lowering.capture import eager
from pipeline.lowering.precision import Quantization
from pipeline.model.answers import one_thread
from pipeline.model.keras_unit import parameter_count
from pipeline.model.pwl import PwlModel
from pipeline.model.route import Route, UnitId
from pipeline.settings import PLAIN, Precision


@dataclass(frozen=True, slots=True)
class Unit:
    """One module to lower.

    Attributes:
        name: `str` of its UnitId, or the name of a control arm.
        module: in eval mode, as trained.
        inputs: features that reach it for the golden images, ``[n, ...]``.
        outputs: what eager PyTorch makes of them, ``[n, ...]``.
        places: paths in the user's network by paths in the module.
        probes: other inputs ``[1, ...]`` with their outputs, so that no wrong function is right by
            luck of the golden images.
        quantization: how it is quantized; None where it computes in float32.
    """

    name: str
    module: nn.Module
    inputs: Tensor
    outputs: Tensor
    places: Mapping[str, str] = field(default_factory=dict)
    probes: Sequence[tuple[Tensor, Tensor]] = ()
    quantization: Quantization | None = None

    @property
    def precision(self) -> Precision:
        return self.quantization.recipe if self.quantization else PLAIN

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
        images: normalized golden images ``[n, channels, height, width]``.
    """
    found: dict[UnitId, Unit] = {}
    logits: list[Tensor] = []
    for route in routes:
        features = images
        for identity in model.units(route):
            module = model.unit(identity)
            outputs = one_by_one(module, features)
            if identity not in found:
                found[identity] = _unit(model, str(identity), module, features, outputs)
            features = outputs
        logits.append(features)
    return found, logits


@torch.no_grad()
def monolith(model: PwlModel, route: Route, name: str, images: Tensor) -> Unit:
    """A whole network as one program: what an app ships that does not load progressively."""
    module = nn.Sequential(*(model.unit(identity) for identity in model.units(route))).eval()
    return _unit(model, name, module, images, one_by_one(module, images))


def _unit(model: PwlModel, name: str, module: nn.Module, inputs: Tensor, outputs: Tensor) -> Unit:
    probes = [(probe, one_by_one(module, probe)) for probe in _probes(inputs)]
    # A wide input may overflow where no image ever would.
    finite = [pair for pair in probes if bool(pair[1].isfinite().all())]
    return Unit(name, module, inputs, outputs, _places(model, module), finite)


def _probes(inputs: Tensor) -> list[Tensor]:
    """Inputs three times as wide as real ones, and a tenth: the same every time."""
    noise = torch.randn(inputs[:1].shape, generator=torch.Generator().manual_seed(0))
    return [inputs[:1] + noise * (3 * float(inputs.std())), inputs[:1] * 0.1]


def _places(model: PwlModel, module: nn.Module) -> dict[str, str]:
    """The outermost parts of a unit that are parts of the model, by their paths in the unit."""
    known = {id(part): path for path, part in model.named_modules()}
    return {path: known[id(part)] for path, part in module.named_modules() if id(part) in known}


def one_by_one(module: nn.Module, inputs: Tensor) -> Tensor:
    """Runs images one at a time, as the device will: sums may differ with the batch size.

    The same bytes on the same kind of machine, however many threads torch has.
    """
    with eager(), one_thread():
        return torch.cat([module(item) for item in torch.split(inputs, 1)])
