"""The state of a training run after a whole epoch, to go on from where it was interrupted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from pipeline.model.checkpoint import load_into, load_tensors, save_tensors, whole_state


def save_epoch(
    path: Path, module: nn.Module, optimizer: Optimizer, scheduler: LRScheduler, epochs: int
) -> None:
    """Writes all that the next epoch begins with.

    Args:
        path: of the checkpoint.
        module: all that is trained, and its buffers.
        optimizer: SGD with momentum.
        scheduler: of its learning rate.
        epochs: how many are done.
    """
    state = optimizer.state_dict()
    tensors = {f"module.{name}": tensor for name, tensor in whole_state(module).items()}
    for index, values in state["state"].items():
        tensors[f"momentum.{index}"] = values["momentum_buffer"]
    facts: dict[str, Any] = {
        "epochs": epochs,
        "groups": state["param_groups"],
        "scheduler": scheduler.state_dict(),
    }
    save_tensors(path, tensors, facts)


def resume(path: Path, module: nn.Module, optimizer: Optimizer, scheduler: LRScheduler) -> int:
    """Restores the state after the last whole epoch and returns how many are done.

    Raises:
        IntegrityError: the checkpoint is damaged, or is of another module.
    """
    tensors, facts = load_tensors(path)
    weights = {name.removeprefix("module."): t for name, t in tensors.items() if "module." in name}
    load_into(module, weights, path)
    momentum = {
        int(name.removeprefix("momentum.")): {"momentum_buffer": tensor}
        for name, tensor in tensors.items()
        if name.startswith("momentum.")
    }
    optimizer.load_state_dict({"state": momentum, "param_groups": facts["groups"]})
    scheduler.load_state_dict(facts["scheduler"])
    epochs: int = facts["epochs"]
    return epochs
