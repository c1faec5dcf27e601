"""What a distillation recipe is: what it trains, and the loss of one batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from pipeline.model.pwl import PwlModel
from pipeline.model.route import Route, Variant


@dataclass(frozen=True, slots=True)
class Batch:
    """Some training images and what the teacher says about them.

    Attributes:
        images: as the networks take them, ``[batch, channels, height, width]``.
        labels: int64 ``[batch]``.
        taught: the output of every teacher part for them; the last is the logits.
    """

    images: Tensor
    labels: Tensor
    taught: Sequence[Tensor]


@dataclass(frozen=True, slots=True)
class Trainable:
    """What a recipe trains.

    Attributes:
        module: all trained parameters and the buffers beside them.
        rates: groups of parameters with their scale of the learning rate.
    """

    module: nn.Module
    rates: Sequence[tuple[Sequence[nn.Parameter], float]]


class Recipe(Protocol):
    """A way to train the student and the converters beside a frozen teacher."""

    def trainable(self, model: PwlModel) -> Trainable:
        """The parts of the model that learn."""
        ...

    def loss(
        self,
        model: PwlModel,
        batch: Batch,
        generator: torch.Generator,
    ) -> Mapping[str, Tensor]:
        """The weighted loss terms of one batch, by name.

        Args:
            model: in training mode but for the teacher.
            batch: what to learn from.
            generator: where random choices come from.
        """
        ...


def random_mixed_route(blocks: int, generator: torch.Generator) -> Route:
    """A route drawn evenly from all that have both teacher and student blocks."""
    code = int(torch.randint(1, 2**blocks - 1, (1,), generator=generator))
    bits = (code >> block & 1 for block in range(blocks))
    return Route(tuple(Variant.TEACHER if bit else Variant.STUDENT for bit in bits))
