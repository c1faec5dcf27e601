"""Calls a user's function, with random numbers that a profile seeds."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from pipeline.ingest.function import FunctionSource
from pipeline.ingest.probe import user_code
from pipeline.settings import SourceModel


def called(source: SourceModel) -> object:
    """What the function of a ``python:`` source gives.

    Raises:
        UsageError: there is no such function, or it fails.
    """
    with user_code(source.source, "the function"):
        return FunctionSource.parse(source.place).load()()


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Random numbers that start from a seed; the caller's are then where they were."""
    theirs_before, numpys = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)
        try:
            yield
        finally:
            random.setstate(theirs_before)
            np.random.set_state(numpys)
