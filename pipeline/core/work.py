"""How work of several steps is done, whatever it makes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipeline.core.cluster import Cluster
from pipeline.core.progress import Progress


@dataclass(frozen=True, slots=True)
class Work:
    """What a workflow hands to the rooms that it calls.

    Attributes:
        cache: folder of what need not be made twice.
        progress: told everything that takes time.
        jobs: how many worker processes, or a cluster that has some; None: one per processor.
    """

    cache: Path
    progress: Progress
    jobs: int | Cluster | None = None

    @property
    def cluster(self) -> Cluster | None:
        """Where units are lowered, if not on this machine."""
        return self.jobs if isinstance(self.jobs, Cluster) else None

    @property
    def processes(self) -> int | None:
        """How many worker processes there are on this machine; None: one per processor."""
        return None if isinstance(self.jobs, Cluster) else self.jobs
