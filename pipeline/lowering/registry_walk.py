"""PyTorch's walk over its registry of operators, which every export takes dozens of times."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch._export import utils

_KEY = "CompositeImplicitAutograd"
_walked = 0  # how many operators there were at the last walk


@contextmanager
def walked_once() -> Iterator[None]:
    """Walks again only when operators were registered since: a fifth of the time of an export.

    The walk makes Python objects for all composite operators, once for each namespace that a list
    of them is asked of; made twice, they are the same objects. This is torch 2.13's; where a later
    one has no such function, nothing is changed.
    """
    walk = getattr(utils, "_materialize_cpp_cia_ops", None)
    if walk is None:
        yield
        return

    def walk_if_new() -> None:
        global _walked
        count = len(torch._C._dispatch_get_registrations_for_dispatch_key(_KEY))
        if count != _walked:
            walk()
            _walked = count

    utils._materialize_cpp_cia_ops = walk_if_new
    try:
        yield
    finally:
        utils._materialize_cpp_cia_ops = walk
