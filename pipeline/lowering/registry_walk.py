"""What PyTorch does over and over while it exports: its walk over its registry of operators, and
copies of where each node of a graph is from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
from torch._C import DispatchKey
from torch._export import utils
from torch._ops import OperatorBase
from torch.fx.traceback import NodeSource

_KEY = "CompositeImplicitAutograd"
#: The release whose inner functions these are; of another one nothing is changed.
_RELEASE = "2.13."
_walked = 0  # how many operators there were at the last walk
_py_impl = OperatorBase.py_impl


@contextmanager
def walked_once() -> Iterator[None]:
    """Walks again only when operators were registered since, and registers kernels faster.

    The walk makes Python objects for all composite operators, once for each namespace that a list
    of them is asked of; made twice, they are the same objects: a fifth of the time of an export.
    Each export registers some six thousand kernels of theirs and takes them away again; most of
    the time goes into the type hints of the function that does it: a seventh of an export.

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


def _shared(source: NodeSource, _: dict[int, Any]) -> NodeSource:
    return source
