"""The head of a classifier: the layers at its end that give logits."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

Head = nn.Linear | nn.Conv2d


@torch.no_grad()
def head_of(network: nn.Module, images: Tensor) -> Mapping[str, Head]:
    """The last layers with weights that run, by their paths, as far as each gives the logits.

    One, or those of several heads whose logits are put together. A 1x1 convolution is one, too.
    Empty where the network ends in anything else.

    Args:
        network: in eval mode; images ``[n, ...]`` to logits ``[n, classes]``.
        images: some.
    """
    ran: dict[nn.Module, None] = {}
    weighted = [each for each in network.modules() if [*each.parameters(recurse=False)]]
    handles = [
        each.register_forward_pre_hook(lambda layer, _: ran.setdefault(layer)) for each in weighted
    ]
    try:
        classes = network(images.clone()).shape[1]
    finally:
        for handle in handles:
            handle.remove()
    paths = {layer: path for path, layer in network.named_modules()}
    found: dict[str, Head] = {}
    for layer in reversed(ran):
        if not isinstance(layer, Head) or _outputs(layer) != classes:
            break
        found[paths[layer]] = layer
    return found


def renew_head(layer: Head, classes: int) -> None:
    """Gives a layer other logits, in place: random weights, as torch draws them for a new one."""
    has_bias = layer.bias is not None
    made: Head
    if isinstance(layer, nn.Linear):
        made = nn.Linear(layer.in_features, classes, has_bias)
        layer.out_features = classes
    else:
        made = nn.Conv2d(layer.in_channels, classes, 1, bias=has_bias)
        layer.out_channels = classes
    for name, parameter in made.named_parameters():
        setattr(layer, name, parameter)


def _outputs(layer: Head) -> int:
    """How many logits a layer can give; none where it looks at more than one place, or a group."""
    if isinstance(layer, nn.Linear):
        return layer.out_features
    return layer.out_channels if layer.kernel_size == (1, 1) and layer.groups == 1 else 0
