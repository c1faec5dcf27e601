"""Makes a network less deep: of neighbors that are alike, some are left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil

from torch import nn


def sequences(network: nn.Module) -> Iterator[nn.Sequential | nn.ModuleList]:
    for holder in [*network.modules()]:
        if isinstance(holder, nn.Sequential | nn.ModuleList):
            yield holder


def shorten(network: nn.Module, depth: float) -> None:
    """Leaves modules out of every run of neighbors with the same weights' shapes."""
    for holder in sequences(network):
        shorten_sequence(holder, depth)


def shorten_sequence(holder: nn.Sequential | nn.ModuleList, depth: float) -> None:
    """The same, of the modules that it holds itself; one with gaps stays whole."""
    if None in holder._modules.values():
        return
    kept: list[nn.Module] = []
    for run in _runs([*holder.children()]):
        kept += run[: ceil(len(run) * depth)]
    refill(holder, kept)


def refill(holder: nn.Sequential | nn.ModuleList, modules: Sequence[nn.Module]) -> None:
    """Makes a sequence hold some modules, and no others."""
    for index in reversed(range(len(modules), len(holder))):
        del holder[index]
    for index, module in enumerate(modules):
        if index < len(holder):
            holder[index] = module
        else:
            holder.append(module)


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
    """What is alike of modules that are: their weights' shapes, and the classes of what they run.

    A dropout (of a path, too) is nothing in eval mode, and often left out of one of them.
    """
    found = [(name, tuple(tensor.shape)) for name, tensor in module.named_parameters()]
    kinds = [type(each).__name__ for each in module.modules()]
    runs = [kind for kind in kinds if kind != "Identity" and "drop" not in kind.lower()]
    return [*((kind, ()) for kind in runs), *found] if found else []
