"""Makes a slimmer network of the same kind: fewer channels everywhere, fewer repeated layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from math import ceil, gcd
from typing import cast

import torch
from torch import Tensor, nn

from pipeline.core.errors import UsageError, first_lines
from pipeline.ingest.probe import probe_images, run_network
from pipeline.model.blocknet import BlockNet

_Convolution = nn.Conv1d | nn.Conv2d
_Batch = nn.BatchNorm1d | nn.BatchNorm2d
_Layer = _Convolution | nn.Linear | _Batch | nn.LayerNorm | nn.GroupNorm
_REMEDY = "write the student yourself, with as many parts"


def slimmed(
    source: str, network: BlockNet, image_shape: tuple[int, int, int], width: float, depth: float
) -> BlockNet:
    """A network with the same code, random weights and fewer of them.

    What convolutions and linear layers give is scaled, but for the last one, which gives logits;
    what a layer takes follows from what reaches it.

    Args:
        source: how errors call the user's function.
        network: its teacher, in eval mode; it stays as it is.
        image_shape: channels, height, width.
        width: share of the channels that is kept, at least one of each.
        depth: share of each run of equal neighbors that is kept, at least one.

    Raises:
        UsageError: the teacher does not run, a layer is of a kind that is not known here, or what
            is left does not run.
    """
    images, where = probe_images(image_shape), f"{source}: the teacher"
    wanted = run_network(source, "teacher", network, images)[-1].shape
    slim = deepcopy(network)
    for part in (slim.embedder, *slim.blocks, slim.classifier):
        _shorten(part, depth)
    order = _in_order(where, slim, images)
    if not order:
        raise UsageError(f"{where} has no layers to make slimmer", _REMEDY)
    _require_known(where, slim, order)
    step = max((_groups(layer) for layer in order), default=1)
    last = next((layer for layer in reversed(order) if not _normalizes(layer)), order[-1])
    for layer in order:
        if layer is not last:
            _scale_output(layer, width, step)
    found = _run(where, slim, images, order, _fit_input)
    if found.shape != wanted:
        raise UsageError(
            f"{where} gives {[*found.shape]} with fewer channels instead of {[*wanted]}", _REMEDY
        )
    return slim.requires_grad_(True)


def _in_order(where: str, network: nn.Module, images: Tensor) -> list[_Layer]:
    """The layers with weights, in the order in which they first run."""
    ran: dict[_Layer, None] = {}
    layers = [each for each in network.modules() if isinstance(each, _Layer)]
    _run(where, network, images, layers, lambda layer, _: ran.setdefault(cast(_Layer, layer)))
    return [*ran]


@torch.no_grad()
def _run(
    where: str,
    network: nn.Module,
    images: Tensor,
    layers: Sequence[_Layer],
    before: Callable[[nn.Module, tuple[Tensor, ...]], None],
) -> Tensor:
    """What the network makes of images, each of some layers being shown what reaches it."""
    handles = [layer.register_forward_pre_hook(before) for layer in layers]
    try:
        return cast(Tensor, network(images.clone()))
    except Exception as error:  # a user's code
        raise UsageError(
            f"{where} does not run with fewer channels: {type(error).__name__}: "
            f"{first_lines(error)}",
            _REMEDY,
        ) from error
    finally:
        for handle in handles:
            handle.remove()


def _require_known(where: str, network: nn.Module, order: list[_Layer]) -> None:
    known = {id(parameter) for layer in order for parameter in layer.parameters()}
    for path, parameter in network.named_parameters():
        if id(parameter) not in known:
            raise UsageError(f"{where}'s {path} is of no layer that can be made slimmer", _REMEDY)


def _groups(layer: _Layer) -> int:
    """What a layer's channels have to be multiples of; those of a depthwise one follow them."""
    if isinstance(layer, _Convolution) and not _depthwise(layer):
        return layer.groups
    return 1


def _normalizes(layer: _Layer) -> bool:
    return not isinstance(layer, _Convolution | nn.Linear)


def _scale_output(layer: _Layer, width: float, step: int) -> None:
    if isinstance(layer, nn.Linear):
        layer.out_features = _scaled(layer.out_features, width, 1)
    elif isinstance(layer, _Convolution) and not _depthwise(layer):
        layer.out_channels = _scaled(layer.out_channels, width, step)


def _depthwise(layer: _Convolution) -> bool:
    return layer.groups == layer.in_channels > 1


def _scaled(channels: int, width: float, step: int) -> int:
    return max(1, round(channels * width / step)) * step


def _fit_input(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    """Makes a layer's tensors anew, for what reaches it."""
    shape = inputs[0].shape
    if isinstance(layer, nn.Linear):
        layer.in_features = shape[-1]
        made: nn.Module = nn.Linear(layer.in_features, layer.out_features, layer.bias is not None)
    elif isinstance(layer, _Convolution):
        if _depthwise(layer):
            layer.out_channels = layer.out_channels // layer.in_channels * shape[1]
            layer.groups = shape[1]
        layer.in_channels = shape[1]
        made = type(layer)(
            layer.in_channels,
            layer.out_channels,
            cast(int, layer.kernel_size),
            groups=layer.groups,
            bias=layer.bias is not None,
        )
    elif isinstance(layer, nn.LayerNorm):
        layer.normalized_shape = tuple(shape[-len(layer.normalized_shape) :])
        made = nn.LayerNorm(layer.normalized_shape, elementwise_affine=layer.weight is not None)
    elif isinstance(layer, nn.GroupNorm):
        layer.num_channels = shape[1]
        layer.num_groups = gcd(layer.num_groups, shape[1])
        made = nn.GroupNorm(layer.num_groups, layer.num_channels, affine=layer.affine)
    else:
        assert isinstance(layer, _Batch)
        layer.num_features = shape[1]
        made = type(layer)(
            layer.num_features, affine=layer.affine, track_running_stats=layer.track_running_stats
        )
    for name, parameter in made.named_parameters():
        setattr(layer, name, parameter)
    for name, buffer in made.named_buffers():
        setattr(layer, name, buffer)


def _shorten(network: nn.Module, depth: float) -> None:
    """Leaves modules out of every run of neighbors with the same weights' shapes."""
    for holder in [*network.modules()]:
        if not isinstance(holder, nn.Sequential | nn.ModuleList):
            continue
        kept: list[nn.Module] = []
        for run in _runs([*holder.children()]):
            kept += run[: ceil(len(run) * depth)]
        for index in reversed(range(len(kept), len(holder))):
            del holder[index]
        for index, module in enumerate(kept):
            holder[index] = module


def _runs(modules: list[nn.Module]) -> Iterator[list[nn.Module]]:
    """Neighbors that are alike; a module without weights is like none."""
    run: list[nn.Module] = []
    for module in modules:
        if run and not (_shapes(module) and _shapes(module) == _shapes(run[-1])):
            yield run
            run = []
        run.append(module)
    if run:
        yield run


def _shapes(module: nn.Module) -> list[tuple[str, tuple[int, ...]]]:
    found = [(name, tuple(tensor.shape)) for name, tensor in module.named_parameters()]
    return [(type(module).__name__, ()), *found] if found else []
