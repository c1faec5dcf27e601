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
        labels: int64 ``[batch]`` or ``[batch, height, width]``.
        teacher_outputs: the output of every teacher part for them; the last is the logits.
    """

    images: Tensor
    labels: Tensor
    teacher_outputs: Sequence[Tensor]


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
    """A route with both teacher and student blocks, drawn as the published recipe's code does.

    Half of the routes change over once, at any boundary and in either direction. For the other half
    a coin decides on each block; where all fall alike, one of them is turned over.

    Args:
        blocks: at least 2.
        generator: where the numbers come from.
    """

    def draw(choices: int) -> int:
        return int(torch.randint(choices, (1,), generator=generator))

    if draw(2):
        first, boundary = bool(draw(2)), 1 + draw(blocks - 1)
        teachers = [first] * boundary + [not first] * (blocks - boundary)
    else:
        teachers = [bool(draw(2)) for _ in range(blocks)]
        if len(set(teachers)) == 1:
            turned = draw(blocks)
            teachers[turned] = not teachers[turned]
    return Route(tuple(Variant.TEACHER if teacher else Variant.STUDENT for teacher in teachers))
