"""Which logits of a label map the harness prints: all of them would be millions."""

from __future__ import annotations

#: As in android_harness/harness/label_maps.cc.
_MOST = 4096


def excerpt_places(size: int) -> list[int]:
    """The places of the values that are printed of so many: all, or some from first to last."""
    if size <= _MOST:
        return list(range(size))
    return [number * (size - 1) // (_MOST - 1) for number in range(_MOST)]
