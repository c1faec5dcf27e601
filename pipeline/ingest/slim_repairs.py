"""Sizes that a user's modules hold in numbers of their own, found where their code fails.

Names say what some of them count (see `pipeline.ingest.slim_tables`). Others are found by trying:
where a slimmer network does not run, the sizes that the failing module holds are scaled, too.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

from torch import fx, nn

from pipeline.ingest.failing_part import failing_modules
from pipeline.ingest.slim_layers import Layer, set_width, widths_of

#: In the names of numbers that count channels, or may.
_CHANNELS = ("dim", "chs", "channel", "width", "feature", "split", "shape", "planes", "hidden")
#: In the names of numbers that never do.
_OTHERS = ("window", "kernel", "stride", "pad", "dilat", "resolution", "grid", "depth", "level")
_HEADS = ("head", "group", "patch", "ratio")
#: More channels than that beside a multiple of a size are no gates.
_MOST_GATES = 8
_MOST = 16
#: How many channels are left of some.
Scaled = Callable[[int], int]


class Repairs:
    """What is done where a slimmer network does not run: nothing."""

    def watching(self) -> AbstractContextManager[None]:
        """Around a run, of which nothing is to be seen but its error."""
        return nullcontext()

    def learn(self, error: BaseException | None, known: Collection[int]) -> bool:
        """Whether there is something that was not tried yet.

        Args:
            error: of the network's code, the run of which was watched.
            known: numbers of channels of the layers that get slimmer.
        """
        return False

    def apply(
        self, wide: nn.Module, slim: nn.Module, known: Collection[int], scaled: Scaled
    ) -> None:
        """Changes what was learned, and what is to be tried next.

        Args:
            wide: the network before its channels were scaled.
            slim: the same network, whose layers are told their new channels, and whose tables have
                been scaled by their lengths; is changed.
            known: numbers of channels of the layers that get slimmer.
            scaled: what is left of so many.
        """


class SizeRepairs(Repairs):
    """What was learned from code that failed: which sizes of which classes get smaller, too."""

    def __init__(self) -> None:
        self._chosen: set[tuple[type, str]] = set()
        self._codes = False
        self._count = 0

    def learn(self, error: BaseException | None, known: Collection[int]) -> bool:
        self._count += 1
        if error is None or self._count > _MOST:
            return False
        for module in failing_modules(error):
            if isinstance(module, fx.GraphModule):
                if not self._codes:
                    self._codes = True
                    return True
                continue
            sizes = {(type(module), name) for name, _ in _sizes(module, known)}
            if sizes - self._chosen:
                self._chosen |= sizes
                return True
        return False

    def apply(
        self, wide: nn.Module, slim: nn.Module, known: Collection[int], scaled: Scaled
    ) -> None:
        """Scales the sizes that were learned."""
        for before, module in zip(wide.modules(), slim.modules(), strict=True):
            if isinstance(module, fx.GraphModule):
                if self._codes:
                    _scale_calls(module, known, scaled)
                continue
            numbers: dict[int, int] = {}
            for name, size in _sizes(before, known):
                if (type(before), name) in self._chosen:
                    setattr(module, name, _less(size, known, scaled))
                    if isinstance(size, int):
                        numbers[size] = scaled(size)
            for name, layer in module.named_children():
                _keep_gates(layer, before.get_submodule(name), numbers)


def _sizes(module: nn.Module, known: Collection[int]) -> Iterator[tuple[str, Any]]:
    """Numbers, and lists of them, that may count channels, by name."""
    if isinstance(module, Layer):
        return
    for name, value in vars(module).items():
        sizes = [*value] if isinstance(value, tuple | list) else [value]
        if name.startswith("_") or not sizes or not all(type(size) is int for size in sizes):
            continue
        lower = name.lower()
        named = any(word in lower for word in _CHANNELS)
        if any(word in lower for word in _OTHERS) or max(sizes) < 2:
            continue
        if not named and any(word in lower for word in _HEADS):
            continue
        if named or {*sizes} & {*known}:
            yield name, value


def _less(value: Any, known: Collection[int], scaled: Scaled) -> Any:
    if isinstance(value, int):
        return scaled(value)
    if min(value) <= _MOST_GATES // 2 < _MOST_GATES < max(value):
        return type(value)(size if size <= _MOST_GATES else scaled(size) for size in value)
    if len(value) > 1 and sum(value) in known:
        less = [scaled(size) for size in value]
        less[0] += scaled(sum(value)) - sum(less)  # as a layer that gives all of them does
        if min(less) > 0:
            return type(value)(less)
    return type(value)(scaled(size) if size in known else size for size in value)


def _keep_gates(layer: nn.Module, before: nn.Module, numbers: dict[int, int]) -> None:
    """Of a layer that gives some times a size and a few gates beside it, all gates are kept."""
    if not isinstance(layer, Layer):
        return
    for width in widths_of(cast(Layer, before)):
        for size, less in numbers.items():
            gates = width % size
            if width > size > _MOST_GATES and 0 < gates <= _MOST_GATES:
                set_width(layer, width // size * less + gates)


def _scale_calls(module: fx.GraphModule, known: Collection[int], scaled: Scaled) -> None:
    """Scales sizes that were numbers when a network was cut, where tensors are taken apart."""

    def less(value: Any) -> Any:
        if isinstance(value, slice):
            return slice(*map(less, (value.start, value.stop, value.step)))
        if isinstance(value, tuple | list):
            return type(value)(map(less, value))
        return scaled(value) if type(value) is int and value in known else value

    for node in module.graph.nodes:
        name = str(getattr(node.target, "__name__", node.target))
        if name in ("split", "getitem", "narrow", "split_with_sizes", "expand"):
            node.args = (node.args[0], *map(less, node.args[1:]))
    module.recompile()
