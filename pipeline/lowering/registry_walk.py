"""What PyTorch does over and over while it exports: it walks over its registry of operators, makes
kernels for each of them, and copies where each node of a graph is from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any
from unittest import mock

import torch
from torch._C import DispatchKey
from torch._export import utils
from torch._ops import OperatorBase, OpOverload
from torch._subclasses import fake_impls
from torch.export import exported_program
from torch.fx.traceback import NodeSource

_KEY = "CompositeImplicitAutograd"
#: The release whose inner functions these are; of another one nothing is changed.
_RELEASE = "2.13."
_walked = 0  # how many operators there were at the last walk
_py_impl = OperatorBase.py_impl
_override = exported_program._override_composite_implicit_decomp


@dataclass(frozen=True, slots=True)
class _Kernels:
    """Those of an operator, before and while it is decomposed in some way."""

    before: dict[Any, Any]
    during: dict[Any, Any]
    fake: Callable[..., Any]


_kept: dict[tuple[OpOverload, object], _Kernels] = {}


@contextmanager
def walked_once() -> Iterator[None]:
    """Walks again only when operators were registered since, and registers kernels faster.

    The walk makes Python objects for all composite operators, once for each namespace that a list
    of them is asked of; made twice, they are the same objects: a fifth of the time of an export.
    Each export registers some six thousand kernels of theirs and takes them away again. They are
    made once, which is a sixth of the time of lowering; the type hints of the function that
    registers them, a seventh of an export before, are not evaluated.

    Each pass over a graph copies for each of its nodes what all passes before it noted of its
    origin, which nobody changes: a sixth of ExecuTorch's time for a transformer. It is shared.
    """
    if not torch.__version__.startswith(_RELEASE):
        yield
        return
    walk = utils._materialize_cpp_cia_ops

    def walk_if_new() -> None:
        global _walked
        count = len(torch._C._dispatch_get_registrations_for_dispatch_key(_KEY))
        if count != _walked:
            walk()
            _walked = count

    with (
        mock.patch.object(utils, "_materialize_cpp_cia_ops", walk_if_new),
        mock.patch.object(OperatorBase, "py_impl", _py_impl_without_hints),
        mock.patch.object(exported_program, "_override_composite_implicit_decomp", _override_again),
        mock.patch.object(NodeSource, "__deepcopy__", _shared, create=True),
    ):
        yield


def _py_impl_without_hints(operator: OperatorBase, key: Any) -> Callable[[Any], Any]:
    """As `OperatorBase.py_impl`, which evaluates two type hints whenever it is called."""
    if type(key) is not DispatchKey or key == DispatchKey.Python or key in operator.py_kernels:
        return _py_impl(operator, key)

    def register(kernel):  # type: ignore[no-untyped-def]
        operator.py_kernels[key] = kernel
        operator._dispatch_cache.clear()
        return kernel

    return register


@contextmanager
def _override_again(decompositions: dict[Any, Callable[..., Any]]) -> Iterator[None]:
    """As PyTorch does it, with the kernels of the last time where all is as it was then."""
    fakes = fake_impls.op_implementations_dict
    known: dict[OpOverload, _Kernels] = {}
    new, before = {}, {}
    for operator, decomposition in decompositions.items():
        kernels = _kept.get((operator, _kind(operator, decomposition)))
        if operator not in fakes and kernels and kernels.before == operator.py_kernels:
            known[operator] = kernels
        else:
            new[operator] = decomposition
            if operator not in fakes and isinstance(operator, OpOverload):
                before[operator] = dict(operator.py_kernels)
    with _override(new):
        for operator, kernels_before in before.items():
            during = dict(operator.py_kernels)
            kernels = _Kernels(kernels_before, during, fakes[operator])
            _kept[operator, _kind(operator, new[operator])] = kernels
        for operator, kernels in known.items():
            _set_kernels(operator, kernels.during)
            fakes[operator] = kernels.fake
        try:
            yield
        finally:
            for operator, kernels in known.items():
                _set_kernels(operator, kernels.before)
                fakes.pop(operator, None)


def _kind(operator: Any, decomposition: Any) -> object:
    """The same for decompositions that do the same: PyTorch makes its own ones anew each time."""
    if (
        isinstance(decomposition, partial)
        and not decomposition.args
        and decomposition.keywords == {"kernel": operator}
        and getattr(decomposition.func, "__closure__", ()) is None
    ):
        return decomposition.func.__code__
    return decomposition


def _set_kernels(operator: OpOverload, kernels: dict[Any, Any]) -> None:
    operator.py_kernels.clear()
    operator.py_kernels.update(kernels)
    operator._dispatch_cache.clear()


def _shared(source: NodeSource, _: dict[int, Any]) -> NodeSource:
    return source
