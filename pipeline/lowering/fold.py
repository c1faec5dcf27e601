"""Batch normalisation folded into the convolutions before it, in eager PyTorch.

XNNPACK's passes would fold it too, but constants made there lose their names and hash differently
from program to program. Folding first gives every backend the same plain convolutions.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.fx.experimental.optimization import fuse
from torch.nn.utils.fusion import fuse_conv_bn_eval

from pipeline.errors import UsageError
from pipeline.model.keras import keras_models


def fold_batch_norms(module: nn.Module, name: str) -> nn.Module:
    """A copy of `module` (in eval mode) without batch normalisation.

    Args:
        module: any traceable module in eval mode.
        name: how errors call it.

    Raises:
        UsageError: the module is in training mode (it would lower without an error and be wrong),
            cannot be traced, or keeps a batch normalisation of other features than images that
            follows no convolution or linear layer.
    """
    if keras_models(module):
        return module  # its own converter folds
    if any(part.training for part in module.modules()):
        raise UsageError(
            f"{name} is in training mode: batch normalisation would use the batch's statistics",
            "call eval() on the model before lowering it",
        )
    if module._forward_hooks or module._forward_pre_hooks:
        module = nn.Sequential(module).eval()  # fx traces the hooks of what it calls, not its own
    try:
        folded: nn.Module = fuse(module)
    except Exception as error:  # a user's code meets tensors without values here
        raise UsageError(
            f"{name} cannot be traced: {type(error).__name__}: {error}",
            "remove control flow that depends on tensor values",
        ) from error
    left = []
    for path, part in list(folded.named_modules()):
        if isinstance(part, nn.BatchNorm2d) and part.track_running_stats:
            folded.set_submodule(path, _as_convolution(part))
        elif isinstance(part, nn.modules.batchnorm._BatchNorm):
            left.append(path)
    if left:
        raise UsageError(
            f"{name} has batch normalisation that cannot be folded: {', '.join(left)}",
            "put it directly behind a convolution or a linear layer, or fold it by hand",
        )
    # Training may have left the weights channels last, which XNNPACK's passes take for activations.
    return folded.eval().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload,no-any-return]


def _as_convolution(norm: nn.BatchNorm2d) -> nn.Conv2d:
    """A batch normalisation in eval mode as the depthwise 1x1 convolution that it is."""
    plain = nn.Conv2d(norm.num_features, norm.num_features, 1, groups=norm.num_features, bias=False)
    nn.init.ones_(plain.weight)
    return fuse_conv_bn_eval(plain.eval(), norm)
