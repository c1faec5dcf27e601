"""Tables whose axes of places are as long as layers have channels, found where code fails.

`pipeline.ingest.slim_tables` goes by lengths: 64 tokens of 64 channels look alike to it. Where a
network does not run so, the axes along which its tables get shorter are tried one table after the
other; those with which more of its operations run are kept.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from pipeline.ingest.failing_part import failing_modules
from pipeline.ingest.slim_layers import layers_of
from pipeline.ingest.slim_repairs import Repairs, Scaled
from pipeline.ingest.slim_tables import keep_first

#: How often a network is run to find the axes of its tables.
_MOST = 64
_Table = tuple[type, str, tuple[int, ...]]
_Axes = tuple[int, ...]


class TableRepairs(Repairs):
    """What was learned from code that failed: the axes along which tables get shorter.

    Tables of one name and shape in modules of one class are alike.
    """

    def __init__(self) -> None:
        self._chosen: dict[_Table, _Axes] = {}
        self._tried: tuple[_Table, _Axes] | None = None
        self._left: list[tuple[_Table, _Axes]] = []
        self._counted = _Operations()
        self._wide: dict[nn.Module, nn.Module] = {}
        self._most = -1
        self._runs = 0

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Around a run: counts the operations before it fails."""
        self._counted = _Operations()
        with self._counted:
            yield

    def learn(self, error: BaseException | None, known: Collection[int]) -> bool:
        self._runs += 1
        if error is None or self._runs > _MOST:
            return False
        if self._counted.count > self._most:
            self._most = self._counted.count
            if self._tried is not None:
                self._chosen |= [self._tried]
            self._left = [*self._choices(error, known)]
        self._tried = self._left.pop(0) if self._left else None
        return self._tried is not None

    def apply(
        self, wide: nn.Module, slim: nn.Module, known: Collection[int], scaled: Scaled
    ) -> None:
        """Makes tables shorter along the axes that were learned, and those to be tried next."""
        chosen = {**self._chosen, **dict([self._tried] if self._tried else [])}
        self._wide = dict(zip(slim.modules(), wide.modules(), strict=True))
        for module, before in self._wide.items():
            for table, tensor in _tables(before):
                if table in chosen:
                    keep_first(module, table[1], tensor, chosen[table], scaled)

    def _choices(
        self, error: BaseException, known: Collection[int]
    ) -> Iterator[tuple[_Table, _Axes]]:
        """Axes for every table of modules that failed, the innermost first, then of their parts."""
        seen: set[_Table] = set()
        for failing in (each for each in failing_modules(error) if each in self._wide):
            held = {id(part) for layer in layers_of(failing) for part in layer.modules()}
            for module in (each for each in failing.modules() if id(each) not in held):
                for table, _ in _tables(self._wide[module]):
                    if table not in seen:
                        seen.add(table)
                        yield from ((table, axes) for axes in _axes(table[2], known))


class _Operations(TorchFunctionMode):
    """Counts those that do not fail."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self.count += 1
        return result


def _tables(module: nn.Module) -> Iterator[tuple[_Table, Tensor]]:
    for name, tensor in [*module._parameters.items(), *module._buffers.items()]:
        if tensor is not None and tensor.is_floating_point() and tensor.numel() > 1:
            yield (type(module), name, tuple(tensor.shape)), tensor


def _axes(shape: tuple[int, ...], known: Collection[int]) -> list[_Axes]:
    """None, each alone, the last ones first, and all, of those as long as channels or a head are.

    Args:
        shape: of a table.
        known: numbers of channels; each may be shared out among heads.
    """
    long = [axis for axis, size in enumerate(shape) if any(not n % size for n in known)]
    long = [axis for axis in long if shape[axis] > 1]
    return [*dict.fromkeys([(), *((axis,) for axis in reversed(long)), tuple(long)])]
