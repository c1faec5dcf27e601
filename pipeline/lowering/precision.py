"""Precisions: what the units of a model compute with, and the recipe that quantizes each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from pipeline.core.errors import UsageError
from pipeline.lowering.capture import operator_name
from pipeline.lowering.graph import OperatorGraph
from pipeline.model.content import tensor_digest
from pipeline.model.route import Role, UnitId
from pipeline.settings import BackendSpec, Precision, PrecisionSettings

#: What units made of linear layers over tokens have, and those made of convolutions have not.
_OF_TOKENS = {"bmm", "layer_norm", "matmul", "rms_norm", "scaled_dot_product_attention", "softmax"}
#: Recipes whose scales are found on real features.
_CALIBRATED = {"static_wi8_ai8"}


@dataclass(frozen=True, slots=True)
class Quantization:
    """How a unit is quantized; its edges stay float32.

    Attributes:
        recipe: of `RECIPES`, or ``int8`` for the one that suits it; see `resolved`.
        calibration: features that reach it, ``[n, ...]``; None where the recipe needs none.
    """

    recipe: Precision
    calibration: Tensor | None

    def resolved(self, captured: nn.Module, backend: BackendSpec, name: str) -> Quantization:
        """The same with a recipe of the backend, and no calibration that it does not use.

        Args:
            captured: the unit, as `capture` gives it.
            backend: that is going to lower it.
            name: how errors call it.

        Raises:
            UsageError: the backend has no such recipe.
        """
        recipe: Precision = self.recipe
        if recipe == "int8" and backend.recipes:
            recipe = backend.recipes[-1 if _linear(captured) else 0]
        if recipe not in backend.recipes:
            known = ", ".join(backend.recipes) or "none"
            raise UsageError(
                f"{name}: {backend.name} has no recipe {recipe!r}",
                f"its recipes are: {known}; int8 takes the one that suits a unit",
            )
        calibration = self.calibration if recipe in _CALIBRATED else None
        return Quantization(recipe, calibration)

    @property
    def key(self) -> str:
        """Names it by its content."""
        if self.calibration is None:
            return str(self.recipe)
        return f"{self.recipe} {tensor_digest(self.calibration)}"


def precisions_of(settings: PrecisionSettings, blocks: int) -> Mapping[UnitId, Precision]:
    """What every block of a model computes with; converters, which have no entry, do in float32.

    Those of the teacher that arrive in int8 before they do in float32 have entries of their own.

    Raises:
        UsageError: the settings name another number of blocks.
    """
    found: dict[UnitId, Precision] = {}
    for role, names in ((Role.STUDENT, settings.student), (Role.TEACHER, settings.teacher)):
        if len(names) not in (1, blocks):
            raise UsageError(
                f"lowering.precision.{role} names {len(names)} blocks, the model has {blocks}",
                "give one name for all blocks, or a list of one for each",
            )
        each = names * blocks if len(names) == 1 else names
        found |= {UnitId(role, index): name for index, name in enumerate(each)}
    first = settings.first_teacher or "int8"
    return found | {UnitId(Role.TEACHER_INT8, index): first for index in range(blocks)}


def _linear(captured: nn.Module) -> bool:
    """Whether linear layers are what a unit is made of, not convolutions."""
    if not isinstance(captured, OperatorGraph):
        return False
    names = {operator_name(node) for node, _ in captured.calls()}
    return bool(names & _OF_TOKENS) or not any(name.startswith("conv") for name in names)
