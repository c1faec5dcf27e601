"""Whether the networks that a source gives can be trained here."""

from __future__ import annotations

from copy import deepcopy

from torch import Tensor

from pipeline.core.errors import UsageError
from pipeline.ingest.probe import require_traceable, run_network, user_code
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
        UsageError: one is frozen, gives other shapes in training mode, or cannot be traced.
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
