"""What is done with large pieces of memory: freed ones are kept, new ones left as they are.

glibc maps every large piece anew and gives it back at once. A network's activations are large, and
made again in each step: up to half of the time of a training at 224 pixels went into page faults.
Under deterministic algorithms torch writes NaN over every new tensor before it is computed.
"""

from __future__ import annotations

import ctypes
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

#: mallopt(3).
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
#: Bytes below which a piece is kept. Older releases of glibc take 32 MB at most.
_KEPT, _KEPT_BEFORE = 1 << 30, 32 << 20


@contextmanager
def keeping_freed_memory() -> Iterator[None]:
    """Has the process keep what it frees, and give all of it back at the end.

    Once on, it stays as it is for pieces that are freed later, whose number is small. Where the C
    library is another one than glibc, this does nothing.
    """
    library = _glibc()
    if library is None:
        yield
        return
    if not library.mallopt(_M_MMAP_THRESHOLD, _KEPT):
        library.mallopt(_M_MMAP_THRESHOLD, _KEPT_BEFORE)
    library.mallopt(_M_TRIM_THRESHOLD, _KEPT)
    try:
        yield
    finally:
        library.malloc_trim(0)


@contextmanager
def unfilled_memory() -> Iterator[None]:
    """Has torch's deterministic algorithms leave new tensors as they are, without NaN at first.

    Results have the same bits: what is computed is written over the whole of a tensor.
    """
    with _filling(False):
        yield


@contextmanager
def filled_memory() -> Iterator[None]:
    """Has torch write NaN, or the largest integer, over every new tensor: what reads one that
    nothing was written into shows it. Slow; on the processor alone.
    """
    import torch

    strict = torch.are_deterministic_algorithms_enabled()
    warns = torch.is_deterministic_algorithms_warn_only_enabled()
    with warnings.catch_warnings(), _filling(True):
        # Of operators that are refused where bits have to be the same: here nobody asks.
        warnings.filterwarnings("ignore", message=".*deterministic", category=UserWarning)
        torch.use_deterministic_algorithms(True, warn_only=True)
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(strict, warn_only=warns)


@contextmanager
def _filling(fills: bool) -> Iterator[None]:
    from torch.utils import deterministic as typed

    deterministic: Any = typed  # the attribute has no type
    before = deterministic.fill_uninitialized_memory
    deterministic.fill_uninitialized_memory = fills
    try:
        yield
    finally:
        deterministic.fill_uninitialized_memory = before


def _glibc() -> ctypes.CDLL | None:
    """The C library of this process, if it is glibc."""
    try:
        library = ctypes.CDLL(None)
        library.gnu_get_libc_version  # noqa: B018 - no other library has it
    except (OSError, AttributeError, TypeError):  # the last one on Windows
        return None
    return library
