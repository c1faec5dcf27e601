"""Makes a slimmer network of the same kind: fewer channels everywhere, fewer repeated layers."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import redirect_stderr
from copy import deepcopy
from dataclasses import dataclass
from itertools import product
from typing import Any, cast

import torch
from torch import Tensor, nn

from pipeline.core.errors import UsageError, first_lines
from pipeline.ingest.failing_part import failing_part
from pipeline.ingest.fx_trace import plain_attention
from pipeline.ingest.probe import probe_images, run_network
from pipeline.ingest.slim_depth import refill, sequences, shorten, shorten_sequence
from pipeline.ingest.slim_exceptions import PlaceLayers, group_step, head_layers, uncalled
from pipeline.ingest.slim_layers import (
    Layer,
    channel_axis,
    fit_input,
    groups_of,
    layers_of,
    logit_layers,
    scale_output,
    scaled_width,
    widths_of,
)
from pipeline.ingest.slim_plain import with_plain_weights
from pipeline.ingest.slim_repairs import Repairs, SizeRepairs
from pipeline.ingest.slim_shares import shares_near
from pipeline.ingest.slim_table_repairs import TableRepairs
from pipeline.ingest.slim_tables import scale_code, scale_tables
from pipeline.model.blocknet import BlockNet

_REMEDY = (
    "widths near it were tried: write the student yourself, with as many parts, "
    'student = { from = "python:FILE.py:FUNCTION" } in [model]'
)

_Fit = Callable[[Layer, Tensor, int], None]
_Shapes = Mapping[Layer, tuple[int, ...]]
#: Scales a network: itself, its layers' shapes, those that stay, and the share that is kept.
_Make = Callable[[nn.Module, _Shapes, set[nn.Module], float], _Fit]


def slimmed(
    source: str, network: BlockNet, image_shape: tuple[int, ...], width: float, depth: float
) -> BlockNet:
    """A network with the same code, fewer weights, and those random.

    What convolutions and linear layers give is scaled, but for the last one, which gives logits;
    what a layer takes follows from what reaches it. Tables and scales that a module holds itself
    keep their first entries. Where layers have to agree, such as the heads of an attention, the
    share that is kept is the nearest at which they do.

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
    short, reached = _shortened(where, with_plain_weights(network), images, depth)
    if not reached:
        raise UsageError(f"{where} has no layers to make slimmer", _REMEDY)
    axes = {layer: channel_axis(layer, shape) for layer, shape in reached.items()}
    refused: UsageError | None = None
    for kept in logit_layers([*reached], wanted[1]):
        scaled = [layer for layer in reached if layer not in kept]
        trial = _Trial(where, short, reached, axes, kept, images)
        for make, share, repairs, codes in _attempts(scaled, width):
            try:
                found, slim = trial.run(make, share, repairs, codes)
            except UsageError as error:
                refused = refused or error
                continue
            if found.shape == wanted:
                return slim.requires_grad_(True)
            got = f"{where} gives {[*found.shape]} with fewer channels instead of {[*wanted]}"
            refused = refused or UsageError(got, _REMEDY)
    assert refused is not None
    raise refused


@dataclass(frozen=True, slots=True)
class _Trial:
    """A network whose layers are told to give a share of their channels.

    Attributes:
        where: how errors call it.
        short: it stays as it is.
        reached: its layers, and the shape of what reaches them.
        axes: of the channels of that.
        kept: those of them that give what they gave.
        images: some.
    """

    where: str
    short: BlockNet
    reached: Mapping[Layer, tuple[int, ...]]
    axes: Mapping[Layer, int]
    kept: set[Layer]
    images: Tensor

    def run(
        self, make: _Make, share: float, repairs: Repairs, codes: bool
    ) -> tuple[Tensor, BlockNet]:
        """What a slim network makes of the images, and the network.

        Args:
            make: scales what layers give.
            share: of the channels that is kept.
            repairs: learns from code that fails, which is then tried again.
            codes: whether numbers of channels are scaled where the network was cut.

        Raises:
            UsageError: it does not run.
        """
        known = {n for each in self.reached if each not in self.kept for n in widths_of(each)}
        while True:
            slim = deepcopy(self.short)
            mine = dict(zip(self.short.modules(), slim.modules(), strict=True))
            shapes = {cast(Layer, mine[each]): self.reached[each] for each in self.reached}
            axes = {cast(Layer, mine[each]): axis for each, axis in self.axes.items()}
            slim.train().eval()  # what some make of their weights once for eval mode
            fit = make(slim, shapes, {mine[layer] for layer in self.kept}, share)
            if codes:
                scale_code(slim, known, share)
            repairs.apply(self.short, slim, known, lambda size: scaled_width(size, share, 1))
            try:
                with repairs.watching():
                    return _run(self.where, slim, self.images, axes, _fitting(axes, fit)), slim
            except UsageError as error:
                if not repairs.learn(error.__cause__, known):
                    raise


def _shortened(
    where: str, network: BlockNet, images: Tensor, depth: float
) -> tuple[BlockNet, dict[Layer, tuple[int, ...]]]:
    """A network with fewer of the layers alike, and what reaches the rest.

    Where it does not run so, sequences of which all are needed stay whole.
    """
    short = deepcopy(network)
    for part in (short.embedder, *short.blocks, short.classifier):
        shorten(part, depth)
    try:
        return short, _in_order(where, short, images)
    except UsageError:
        if depth == 1:
            raise
    short = deepcopy(network)
    for part in (short.embedder, *short.blocks, short.classifier):
        for holder in sequences(part):
            before = [*holder.children()]
            shorten_sequence(holder, depth)
            if len(holder) == len(before):
                continue
            try:
                _in_order(where, short, images)
            except UsageError:
                refill(holder, before)
    return short, _in_order(where, short, images)


def _attempts(
    layers: Sequence[Layer], width: float
) -> Iterator[tuple[_Make, float, Repairs, bool]]:
    """How to make it: with the share that is wanted in all ways, then with others near it."""
    yield from ((make, width, Repairs(), codes) for codes in (True, False) for make in _MAKES)
    yield from ((make, width, SizeRepairs(), True) for make in _MAKES)
    random = torch.get_rng_state()
    yield from ((make, width, TableRepairs(), True) for make in _MAKES)
    torch.set_rng_state(random)  # so that the shares below start as if no table had been tried
    for repaired, make in product((False, True), _MAKES):
        repairs = SizeRepairs() if repaired else Repairs()
        yield from ((make, share, repairs, True) for share in shares_near(layers, width, repaired))


def _alike(network: nn.Module, shapes: _Shapes, kept: set[nn.Module], share: float) -> _Fit:
    """Tells all layers but some to give fewer channels, and keeps as many of what is held beside.

    Args:
        network: is changed.
        shapes: of what reached its layers before.
        kept: layers that give what they gave.
        share: of the channels that is kept.

    Returns:
        What makes a layer fit what reaches it.
    """
    _scale(network, shapes, kept, share, max(map(groups_of, shapes), default=1))
    return fit_input


def _with_exceptions(
    network: nn.Module, shapes: _Shapes, kept: set[nn.Module], share: float
) -> _Fit:
    """As `_alike`, but for layers over places and of heads, and with groups of the same width."""
    kept = {*kept, *head_layers(network)}
    beside = uncalled(network, [*shapes])
    before = {
        layer: (shape, layer.out_features)
        for layer, shape in shapes.items()
        if isinstance(layer, nn.Linear)
    }
    _scale(network, shapes, kept, share, group_step([*shapes]), beside)
    return PlaceLayers(before).fit


_MAKES: Sequence[_Make] = (_alike, _with_exceptions)


def _scale(
    network: nn.Module,
    shapes: _Shapes,
    kept: set[nn.Module],
    share: float,
    step: int,
    beside: Sequence[nn.Linear] = (),
) -> None:
    """Scales what layers give, and tables of the same sizes; of those beside, whose weights are
    tables, to random ones.
    """
    scaled = [layer for layer in shapes if layer not in kept]
    known = {size for layer in (*scaled, *beside) for size in widths_of(layer)}
    scale_tables(network, [*shapes], known, share)
    for linear in beside:
        linear.reset_parameters()
    for layer in scaled:
        scale_output(layer, share, step)


def _fitting(axes: Mapping[Layer, int], fit: _Fit) -> Callable[[nn.Module, Tensor], None]:
    """Makes layers, by the axes of their channels, fit what reaches them."""

    def fitted(layer: nn.Module, features: Tensor) -> None:
        fit(cast(Layer, layer), features, axes[cast(Layer, layer)])

    return fitted


def _in_order(where: str, network: nn.Module, images: Tensor) -> dict[Layer, tuple[int, ...]]:
    """The layers with weights, in the order in which they first run, and what reaches them."""
    ran: dict[Layer, tuple[int, ...]] = {}

    def reached(layer: nn.Module, features: Tensor) -> None:
        ran.setdefault(cast(Layer, layer), tuple(features.shape))

    _run(where, network, images, layers_of(network), reached)
    return ran


@torch.no_grad()
def _run(
    where: str,
    network: nn.Module,
    images: Tensor,
    layers: Iterable[Layer],
    before: Callable[[nn.Module, Tensor], None],
) -> Tensor:
    """What the network makes of images, each of some layers being shown what reaches it."""

    def hook(layer: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        before(layer, next(x for x in (*arguments, *named.values()) if isinstance(x, Tensor)))

    handles = [layer.register_forward_pre_hook(hook, with_kwargs=True) for layer in layers]
    try:
        # Cut networks print where their code fails; a share that fits no attention is no failure.
        with plain_attention(), redirect_stderr(io.StringIO()):
            return cast(Tensor, network(images.clone()))
    except Exception as error:  # a user's code
        place = f", in {part}" if (part := failing_part(network, error)) else ""
        what = f"{where} does not run with fewer channels{place}: {type(error).__name__}"
        raise UsageError(f"{what}: {first_lines(error)}", _REMEDY) from error
    finally:
        for handle in handles:
            handle.remove()
