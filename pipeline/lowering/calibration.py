"""What static recipes find their scales on: features of training images, along every route."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from pipeline.data.images import Dataset
from pipeline.lowering.precision import Quantization, precisions_of
from pipeline.lowering.units import Unit, monolith, one_by_one, units_of
from pipeline.model.arm import ArmSpec
from pipeline.model.pwl import PwlModel
from pipeline.model.route import Route, UnitId
from pipeline.settings import PLAIN, BackendSpec, PrecisionSettings
from pipeline.training.fit import reproducible


@dataclass(frozen=True, slots=True)
class Calibration:
    """Images, and the routes along which they reach the units of a model.

    Attributes:
        images: normalized, ``[n, channels, height, width]``.
        routes: every route that a unit may serve on: features differ from one to the other.
    """

    images: Tensor
    routes: Sequence[Route]

    @classmethod
    def of(cls, dataset: Dataset, count: int, seed: int, routes: Sequence[Route]) -> Calibration:
        """Some training images, chosen by the seed; held out ones where the data has them.

        Args:
            dataset: with the images; those of the test set calibrate nothing.
            count: how many, if there are so many.
            seed: of the choice.
            routes: as the attribute of that name.
        """
        source = dataset.held_out or dataset.train
        images = source.shuffled(seed, count).images
        return cls(dataset.normalization.apply(images), routes)

    @torch.no_grad()
    @reproducible(1)
    def features(self, model: PwlModel, wanted: Container[UnitId]) -> Mapping[UnitId, Tensor]:
        """What reaches some units, ``[n, ...]``: as many features as images, of all routes.

        Where several routes lead to a unit, they take turns from image to image.

        Args:
            model: in eval mode.
            wanted: the units.
        """
        chains = [model.units(route) for route in self.routes]
        # Two routes that begin with the same modules lead to the next one with the same features.
        leading = dict.fromkeys(
            (unit, tuple(before.plain for before in chain[:place]))
            for chain in chains
            for place, unit in enumerate(chain)
            if unit in wanted
        )
        known: dict[tuple[UnitId, ...], Tensor] = {(): self.images}
        reaching: dict[UnitId, list[Tensor]] = {}
        for unit, before in leading:
            reaching.setdefault(unit, []).append(_features(model, before, known))
        return {unit: _in_turn(found) for unit, found in reaching.items()}


def _features(
    model: PwlModel, chain: tuple[UnitId, ...], known: dict[tuple[UnitId, ...], Tensor]
) -> Tensor:
    """What a chain of units makes of the images, which `known` has for the empty one."""
    if chain not in known:
        known[chain] = one_by_one(model.unit(chain[-1]), _features(model, chain[:-1], known))
    return known[chain]


def _in_turn(found: Sequence[Tensor]) -> Tensor:
    """Of several sets of features, each image's from another set."""
    count = len(found[0])
    return torch.stack([found[index % len(found)][index] for index in range(count)])


def model_units(
    model: PwlModel,
    routes: Sequence[Route],
    images: Tensor,
    precision: PrecisionSettings,
    calibration: Calibration | None,
) -> dict[UnitId, Unit]:
    """The units of `units_of`, those that are to be quantized with what calibrates them.

    Args:
        model: in eval mode.
        routes: the stages.
        images: normalized golden images ``[n, channels, height, width]``.
        precision: of every block.
        calibration: may be None where no block is quantized.

    Raises:
        UsageError: the precision is of another number of blocks.
    """
    units, _ = units_of(model, routes, images)
    precisions = precisions_of(precision, model.blocks)
    quantized = {unit for unit in units if precisions.get(unit, PLAIN) != PLAIN}
    reaching = calibration.features(model, quantized) if calibration else {}
    for unit in quantized:
        quantization = Quantization(precisions[unit], reaching.get(unit))
        units[unit] = replace(units[unit], quantization=quantization)
    return units


def arm_unit(
    model: PwlModel, arm: ArmSpec, images: Tensor, calibration: Calibration | None
) -> Unit:
    """A control arm as one unit; as for `model_units`, but for the images, which calibrate it."""
    whole = monolith(model, arm.route, f"arm {arm.name}", images)
    if arm.precision == PLAIN:
        return whole
    features = calibration.images if calibration else None
    return replace(whole, quantization=Quantization(arm.precision, features))


def resolved(unit: Unit, captured: nn.Module, backend: BackendSpec) -> Unit:
    """A unit as a backend is to lower it: captured, and with the recipe that suits it.

    Raises:
        UsageError: the backend has no such recipe.
    """
    quantization = unit.quantization
    if quantization is not None:
        quantization = quantization.resolved(captured, backend, unit.name)
    return replace(unit, module=captured, quantization=quantization)
