from __future__ import annotations

import ctypes
import resource

import pytest

from pipeline.core import freed_memory
from pipeline.core.freed_memory import keeping_freed_memory

#: Above all that glibc keeps by itself.
SIZE = 64 << 20


def faults_of_using_it_again() -> int:
    """Page faults while a large piece is written to that was freed before."""
    library = ctypes.CDLL(None)
    library.malloc.restype = ctypes.c_void_p
    for _ in range(2):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        piece = ctypes.c_void_p(library.malloc(ctypes.c_size_t(SIZE)))
        ctypes.memset(piece, 1, SIZE)
        library.free(piece)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(freed_memory._glibc() is None, reason="not here: glibc")
def test_what_is_freed_is_there_without_page_faults() -> None:
    with keeping_freed_memory():
        assert faults_of_using_it_again() < SIZE // resource.getpagesize() // 10


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    with keeping_freed_memory():
        pass
