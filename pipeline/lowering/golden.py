"""Golden inputs and what eager PyTorch says about them: the reference of all that is lowered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from pipeline.core.errors import IntegrityError
from pipeline.lowering.units import units_of
from pipeline.model.pwl import PwlModel
from pipeline.model.route import Route


@dataclass(frozen=True, slots=True)
class GoldenSet:
    """Made once for a bundle, and handed on: nothing downstream counts or computes it again.

    Attributes:
        inputs: normalized images, float32 ``[n, channels, height, width]``.
        logits: of eager PyTorch, float32 ``[n, classes]``, by route, in the order of the stages.
        tolerance: largest deviation, relative as in `Parity.max_rel`, that a program may show.
        least_sqnr_db: what quantized programs are held against instead; None where there are none.
    """

    inputs: Tensor
    logits: Mapping[Route, Tensor]
    tolerance: float
    least_sqnr_db: float | None = None

    @classmethod
    def of(
        cls, model: PwlModel, routes: Sequence[Route], inputs: Tensor, tolerance: float
    ) -> GoldenSet:
        """Has eager PyTorch run some images, one by one, along every route.

        Args:
            model: in eval mode.
            routes: the stages.
            inputs: as the attribute of that name, at least one.
            tolerance: as the attribute of that name.

        Raises:
            IntegrityError: some logits are no finite numbers: nothing could be compared with them.
        """
        _, logits = units_of(model, routes, inputs)
        for route, values in zip(routes, logits, strict=True):
            if not values.isfinite().all():
                raise IntegrityError(
                    f"eager PyTorch gives logits that are not finite along {route}",
                    "train again with a lower learning rate, or correct the model's weights",
                )
        return cls(inputs, dict(zip(routes, logits, strict=True)), tolerance)

    @property
    def routes(self) -> tuple[Route, ...]:
        """The stages."""
        return tuple(self.logits)

    def __len__(self) -> int:
        return len(self.inputs)
