"""Training the teacher on the labels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.core.progress import Progress
from pipeline.data.normalization import Inputs
from pipeline.model.blocknet import BlockNet
from pipeline.settings import TeacherSettings
from pipeline.training.conditions import Conditions
from pipeline.training.early import EarlyImages
from pipeline.training.fit import Phase, fit


def train_teacher(
    teacher: BlockNet,
    inputs: Inputs,
    labels: Tensor,
    settings: TeacherSettings,
    *,
    seed: int,
    checkpoint: Path,
    progress: Progress,
    conditions: Conditions | None = None,
) -> None:
    """Trains a teacher in place, with cross entropy.

    Args:
        teacher: the network.
        inputs: normalized images.
        labels: int64 ``[n]``.
        settings: the ``[training.teacher]`` table.
        seed: decides the order of the batches.
        checkpoint: where an interrupted run goes on from.
        progress: told the loss and early accuracy.
        conditions: of the run; those of a default `Conditions` if they are left out.
    """
    conditions = conditions or Conditions()
    teacher.to(conditions.device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def step(indices: Tensor, generator: torch.Generator) -> Mapping[str, Tensor]:
        drawn = conditions.draw(inputs, labels, indices, generator)
        with conditions.arithmetic():
            logits = teacher(drawn.images).float()
        loss = F.cross_entropy(logits, drawn.labels, label_smoothing=settings.label_smoothing)
        return {"loss": loss}

    rates = [(list(teacher.parameters()), 1.0)]
    early = EarlyImages(inputs, labels, conditions.device)
    phase = Phase(
        *("train teacher", "teacher", teacher, rates, len(labels), seed, checkpoint),
        watch=lambda: early.of_network(teacher),
    )
    fit(phase, settings, step, progress, conditions)
