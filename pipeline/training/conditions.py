"""What is learned from, and how: whatever network is trained and by which recipe."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from pipeline.core.progress import Progress
from pipeline.data.normalization import Inputs
from pipeline.data.transfer import moved
from pipeline.training.augment import Augmentation
from pipeline.training.processes import Processes
from pipeline.training.training_log import NoTrainingLog, TrainingLog


@dataclass(frozen=True, slots=True)
class Examples:
    """All that is learned from.

    Attributes:
        inputs: normalized training images.
        labels: int64 ``[n]``; of a dense task uint8 ``[n, height, width]``.
    """

    inputs: Inputs
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, slots=True)
class Drawn:
    """The examples of one step.

    Attributes:
        indices: which training images they are, int64 ``[batch]``.
        images: as the networks see them, ``[batch, channels, height, width]``.
        labels: int64 ``[batch]`` or ``[batch, height, width]``.
    """

    indices: Tensor
    images: Tensor
    labels: Tensor


@dataclass(frozen=True, slots=True)
class Conditions:
    """What holds for every step of a run.

    Attributes:
        augmentation: random changes of every image; None for the images as they are.
        precision: what convolutions and matrix products are computed in; all else is float32.
        device: where networks compute.
        processes: those that share every batch.
        training_log: where losses, learning rates and accuracies are written down.
    """

    augmentation: Augmentation | None = None
    precision: Literal["fp32", "bf16"] = "fp32"
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    processes: Processes = field(default_factory=Processes)
    training_log: TrainingLog = field(default_factory=NoTrainingLog)

    def draw(self, examples: Examples, indices: Tensor, generator: torch.Generator) -> Drawn:
        """The examples that a batch of indices means, on the device: this process's share of them.

        Args:
            examples: all of them.
            indices: int64 ``[batch]``.
            generator: of the step; nothing else is random.
        """
        share = self.processes.share(len(indices))
        mine = indices[share]
        images = moved(examples.inputs[mine], self.device)
        labels = moved(examples.labels[mine], self.device)
        if self.augmentation is not None:
            # Drawn for the whole batch: one process or several, an image changes the same way.
            changes = self.augmentation.draw(len(indices), generator)
            images = self.augmentation.apply(images, changes.of(share))
            if labels.dim() == 3:
                labels = self.augmentation.apply_to_maps(labels, changes.of(share))
        return Drawn(mine, images, _whole(labels))

    def arithmetic(self) -> AbstractContextManager[object]:
        """Within it networks compute in this precision; teachers' features belong outside."""
        if self.precision == "fp32":
            return nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)


def _whole(labels: Tensor) -> Tensor:
    """Labels as losses take them; embeddings are none."""
    return labels if labels.is_floating_point() else labels.to(torch.int64)


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """How a network is trained, whatever it is.

    Attributes:
        seed: decides the order of the batches and every other random choice.
        checkpoint: where to save after every epoch, and to go on from.
        progress: told every loss term, and early accuracy.
        conditions: of every step.
    """

    seed: int
    checkpoint: Path
    progress: Progress
    conditions: Conditions = field(default_factory=Conditions)
