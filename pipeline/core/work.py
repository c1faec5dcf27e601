"""How work of several steps is done, whatever it makes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipeline.core.progress import Progress


@dataclass(frozen=True, slots=True)
class Work:
    """What a workflow hands to the rooms that it calls.

    Attributes:
        cache: folder of what need not be made twice.
        progress: told everything that takes time.
        jobs: worker processes; None: one per processor.
    """

    cache: Path
    progress: Progress
    jobs: int | None = None
