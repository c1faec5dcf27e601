"""Recall class by class, in few words."""

from __future__ import annotations

from collections.abc import Sequence

#: More labels than these are shown by their worst ones.
_SHOWN = 12


def share(value: float | None) -> str:
    """A share in per cent; a dash where there is none."""
    return "-" if value is None else f"{value:.1%}"


def recall_sentence(recall: Sequence[float | None], labels: Sequence[str]) -> str:
    """The recall of every label, or of the worst where there are many.

    Args:
        recall: per label, None where it has no image.
        labels: their names.
    """
    known = [(value, name) for value, name in zip(recall, labels, strict=True) if value is not None]
    absent = [name for value, name in zip(recall, labels, strict=True) if value is None]
    if len(known) > _SHOWN:
        known = sorted(known)[:_SHOWN]
    words = ", ".join(f"{name} {share(value)}" for value, name in known)
    head = (
        "recall" if len(known) + len(absent) == len(recall) else f"lowest recall of {len(recall)}"
    )
    tail = f"; {len(absent)} label(s) without an image" if absent else ""
    return f"{head}: {words}{tail}"


def overlap_sentence(mean: float, overlap: Sequence[float | None], labels: Sequence[str]) -> str:
    """Mean IoU, and that of every label, or of the worst where there are many.

    Args:
        mean: of those that there are.
        overlap: per label, None where it is nowhere, nor given.
        labels: their names.
    """
    pairs = zip(overlap, labels, strict=True)
    known = [(value, name) for value, name in pairs if value is not None]
    head = "mean IoU"
    if len(known) > _SHOWN:
        known, head = sorted(known)[:_SHOWN], f"lowest IoU of {len(known)}, mean"
    return f"{head} {share(mean)}: " + ", ".join(f"{name} {share(value)}" for value, name in known)
