"""Whether a checkpoint holds all that training changed: what it lacks would be lost unnoticed."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from pipeline.core.errors import UsageError
from pipeline.model.answers import answer_images, network_answers
from pipeline.model.blocknet import BlockNet
from pipeline.model.checkpoint import load_into, whole_state
from pipeline.model.pwl import PwlModel

#: Of the largest answer. Weights in another memory order are summed in another order.
_RELATIVE = 1e-3


def require_restorable(
    trained: BlockNet | PwlModel,
    initial: BlockNet | PwlModel,
    image_shape: tuple[int, ...],
    source: str,
) -> None:
    """Checks that a module's parameters and buffers make the initial one answer as it does.

    Args:
        trained: in eval mode.
        initial: a copy from before the training; it is changed.
        image_shape: channels, height, width of one image.
        source: how errors call where the module is from.

    Raises:
        UsageError: training changed something else that the answers depend on; names the block.
    """
    device = next((tensor.device for tensor in trained.parameters()), torch.device("cpu"))
    # In the memory order that training uses: otherwise sums, and what rounds them, may differ.
    initial.to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    load_into(initial, whole_state(trained), Path(source))
    images = answer_images(image_shape).to(device)
    wanted, found = _answers(trained, images), _answers(initial, images)
    for place, answers in wanted.items():
        # Of plain gray some networks make NaN, such as those that divide by its deviation.
        tolerance = _RELATIVE * float(answers.nan_to_num(0, 0, 0).abs().max())
        if not torch.allclose(found[place], answers, rtol=0, atol=tolerance, equal_nan=True):
            raise UsageError(
                f"{source}: training changes something of {place.removesuffix(' answers')} that is "
                "neither a parameter nor a buffer, so no checkpoint holds it",
                "register_buffer what the block updates in training mode, in place of keeping it "
                "as a plain attribute",
            )


def _answers(module: BlockNet | PwlModel, images: Tensor) -> dict[str, Tensor]:
    if isinstance(module, BlockNet):
        return network_answers("teacher", module, images)
    teacher = network_answers("teacher", module.teacher, images)
    return teacher | network_answers("student", module.student, images)
