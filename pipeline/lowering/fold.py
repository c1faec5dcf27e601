"""Batch normalisation folded into the convolutions before it, in eager PyTorch.

XNNPACK's passes would fold it too, but constants made there lose their names and hash differently
from program to program. Folding first gives every backend the same plain convolutions.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.fx.experimental.optimization import fuse

from pipeline.errors import UsageError
from pipeline.model.keras import keras_models


def fold_batch_norms(module: nn.Module, name: str) -> nn.Module:
    """A copy of `module` (in eval mode) without batch normalisation.

    Args:
        module: any traceable module in eval mode.
        name: how errors call it.

    Raises:
        UsageError: the module is in training mode (it would lower without an error and be wrong),
            cannot be traced, or keeps a batch normalisation that follows no convolution.
    """
    if keras_models(module):
        return module  # its own converter folds
    if any(part.training for part in module.modules()):
        raise UsageError(
            f"{name} is in training mode: batch normalisation would use the batch's statistics",
            "call eval() on the model before lowering it",
        )
    try:
        folded: nn.Module = fuse(module)
    except Exception as error:  # a user's code meets tensors without values here
        raise UsageError(
            f"{name} cannot be traced: {type(error).__name__}: {error}",
            "remove control flow that depends on tensor values",
        ) from error
    left = [
        path
        for path, part in folded.named_modules()
        if isinstance(part, nn.modules.batchnorm._BatchNorm)
    ]
    if left:
        raise UsageError(
            f"{name} has batch normalisation that follows no convolution: {', '.join(left)}",
            "put it directly behind a convolution, or fold it by hand",
        )
    # Training may have left the weights channels last, which XNNPACK's passes take for activations.
    return folded.eval().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload,no-any-return]
