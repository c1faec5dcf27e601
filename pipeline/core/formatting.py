"""Numbers as people read them."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """So many things: ``1 round``, ``15 rounds``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def size(count: float) -> str:
    """Bytes with a decimal unit, three digits: ``21.5 MB``."""
    for unit in ("B", "kB", "MB"):
        if abs(count) < 999.5:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"


def clock_time(seconds: float) -> str:
    """Seconds as minutes and hours: ``0:42``, ``12:05``, ``1:00:07``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def milliseconds(value: float) -> str:
    """Milliseconds with digits that fit their size: ``0.042``, ``3.21``, ``43.8``, ``1204``."""
    if abs(value) < 1:
        return f"{value:.3f}"
    if abs(value) < 10:
        return f"{value:.2f}"
    return f"{value:.1f}" if abs(value) < 1000 else f"{value:.0f}"
