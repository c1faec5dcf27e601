"""Whether the networks that a source gives can be trained here."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor

from pipeline.core.errors import UsageError, first_lines
from pipeline.core.random_state import own_random_numbers
from pipeline.ingest.probe import require_traceable, run_network, user_code
from pipeline.model.blocknet import BlockNet
from pipeline.model.pwl import PwlModel
from pipeline.settings import TrainingSettings


def require_trainable(
    source: str, model: PwlModel, training: TrainingSettings, images: Tensor
) -> None:
    """Checks that networks learn, and run in training mode as they do in eval mode.

    Args:
        source: how errors call what gave them.
        model: in eval mode; it stays as it is.
        training: the table.
        images: some, ``[n, channels, height, width]``.

    Raises:
        UsageError: one is frozen, gives other shapes in training mode, has no gradients, or cannot
            be traced.
    """
    with user_code(source, "copying its modules (copy.deepcopy)"):
        model = deepcopy(model)  # what looking at it in training mode changes is thrown away
    learners = {"student": model.student}
    if training.teacher is not None:
        learners["teacher"] = model.teacher
    for name, network in learners.items():
        if not any(parameter.requires_grad for parameter in network.parameters()):
            raise UsageError(
                f"{source}: the {name} is to be trained, but all of it is frozen",
                "call requires_grad_(True) on it"
                + (", or leave [training.teacher] out" if name == "teacher" else ""),
            )
        shapes = [found.shape for found in run_network(source, name, network, images)]
        network.train()
        trained = run_network(source, f"training {name}", network, images)
        _require_gradients(source, name, network, images)
        network.eval()
        if [found.shape for found in trained] != shapes:
            raise UsageError(
                f"{source}: the {name} gives other shapes in training mode",
                "let it return the same in both modes",
            )
    for name, network in (("teacher", model.teacher), ("student", model.student)):
        parts = [network.part(index) for index in range(len(network))]
        outputs = run_network(source, name, network, images)
        inputs = [images, *outputs[: len(parts) - 1]]
        require_traceable(source, f"{name} block", parts, inputs)


def _require_gradients(source: str, name: str, network: BlockNet, images: Tensor) -> None:
    """Refuses what runs and has no gradients, before a teacher is trained for its student."""
    try:
        with torch.enable_grad(), own_random_numbers(0):
            network(images).square().mean().backward()
    except RuntimeError as error:
        in_place = "modified by an inplace operation" in str(error)
        raise UsageError(
            f"{source}: the {name} cannot be trained: {first_lines(error)}",
            "write x = x + y in place of x += y where x is what an activation gave, and leave "
            "inplace=True out"
            if in_place
            else "correct what its gradients are computed from",
        ) from error
