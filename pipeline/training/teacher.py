"""Training the teacher on the labels."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.model.blocknet import BlockNet
from pipeline.settings import TeacherSettings
from pipeline.training.conditions import Examples, TrainingRun
from pipeline.training.early import EarlyImages
from pipeline.training.fit import Phase, fit


def train_teacher(
    teacher: BlockNet, examples: Examples, settings: TeacherSettings, run: TrainingRun
) -> None:
    """Trains a teacher in place, with cross entropy.

    Args:
        teacher: the network.
        examples: what it learns from.
        settings: the ``[training.teacher]`` table.
        run: how.
    """
    conditions = run.conditions
    teacher.to(conditions.device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def step(indices: Tensor, generator: torch.Generator) -> Mapping[str, Tensor]:
        drawn = conditions.draw(examples, indices, generator)
        with conditions.arithmetic():
            logits = teacher(drawn.images).float()
        loss = F.cross_entropy(logits, drawn.labels, label_smoothing=settings.label_smoothing)
        return {"loss": loss}

    rates = [(list(teacher.parameters()), 1.0)]
    early = EarlyImages(examples, conditions.device)
    phase = Phase(
        *("train teacher", "teacher", teacher, rates, len(examples), run.seed, run.checkpoint),
        watch=lambda: early.of_network(teacher),
    )
    fit(phase, settings, step, run.progress, conditions)
