"""How many inputs a network is given at once where nothing but memory decides."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

_MOST, _FEWEST = 256, 16
#: Values in a batch: of 256 images of 32x32 pixels. Activations of more lie in no cache.
_VALUES = _MOST * 3 * 32 * 32


def batches_of_inputs(count: int, shape: Sequence[int]) -> Iterator[slice]:
    """Inputs of a shape, a batch after the other.

    Args:
        count: how many there are.
        shape: of one.
    """
    size = max(_FEWEST, min(_MOST, _VALUES // max(1, math.prod(shape))))
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))
