"""How the learning rate rises and falls from step to step."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, OneCycleLR

from pipeline.settings import OptimizerSettings


def rate_schedule(
    optimizer: torch.optim.Optimizer,
    settings: OptimizerSettings,
    scales: Sequence[float],
    batches: int,
) -> LRScheduler:
    """The rate's way over a phase.

    Args:
        optimizer: whose rates it sets.
        settings: of the phase.
        scales: of the rate, one a group of parameters.
        batches: in an epoch.
    """
    steps = settings.epochs * batches
    if settings.schedule == "cosine":
        return CosineAnnealingLR(optimizer, steps, eta_min=settings.cosine_floor)
    return OneCycleLR(
        optimizer,
        max_lr=[settings.learning_rate * scale for scale in scales],
        total_steps=steps + 1,  # the step after the last batch must exist too
        # A fifth of five would be a rise of no step at all, over which torch divides by zero.
        pct_start=0.25 if steps == 4 else 0.2,
        div_factor=10,
        final_div_factor=100,
        cycle_momentum=False,
    )
