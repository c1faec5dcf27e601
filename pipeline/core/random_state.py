"""Random numbers of one's own: the caller's stay where they are, on the processor and on GPUs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def own_random_numbers(seed: int | None = None) -> Iterator[None]:
    """Has torch draw from a seed, or go on; afterwards its generators are as they were.

    GPUs that the process computes on count: `torch.manual_seed` seeds theirs, too.
    """
    with torch.random.fork_rng(_gpus_in_use()):
        if seed is not None:
            torch.manual_seed(seed)
        yield


def _gpus_in_use() -> list[int]:
    used: bool = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    return list(range(torch.cuda.device_count())) if used else []
