"""What workers on other machines have in common, whichever engine hands calls out to them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from pipeline.core.errors import DeviceError, UsageError

#: Seconds that an engine may take to answer, and that it may be without any worker.
ANSWER_S, NO_WORKER_S = 10.0, 60.0
#: Seconds between two looks at whether there are workers.
WORKER_LOOK_S = 2.0


class RemoteWorkers(Protocol):
    """A connection to a cluster whose workers make one call at a time each."""

    def versions(
        self, find: Callable[[Sequence[str]], dict[str, str]], packages: Sequence[str]
    ) -> Mapping[str, Mapping[str, str]]:
        """What every worker finds of these packages, by its name for people.

        Raises:
            DeviceError: there is no worker.
            UsageError: one makes several calls at a time.
        """
        ...

    def results(self, function: Callable[[bytes], Any], packed: Sequence[bytes]) -> Iterator[Any]:
        """What calls give, in the order in which they are ready; those left are dropped at the end.

        Raises:
            PipelineError: as a call raises it.
            DeviceError: the cluster is lost, or a call ended several workers.
        """
        ...


class WorkerWatch:
    """Since when nobody has worked at a place."""

    def __init__(self, place: str) -> None:
        self._place = place
        self._seen = time.monotonic()

    def look(self, working: bool) -> None:
        """Notes whether there is somebody now.

        Raises:
            DeviceError: there has been nobody for too long.
        """
        if working:
            self._seen = time.monotonic()
        elif time.monotonic() - self._seen > NO_WORKER_S:
            raise lost("the last worker", self._place) from None


def not_installed(package: str, extra: str) -> UsageError:
    """An engine that is an optional extra is asked for."""
    return UsageError(
        f"--cluster needs the package `{package}`, which is not installed",
        f"pip install 'pwl-android[{extra}]'",
    )


def lost(who: str, place: str) -> DeviceError:
    """Nobody is left who would give a result."""
    return DeviceError(
        f"{who} at {place} is lost; what came back is kept",
        "see that it and its workers run, then run again",
    )


def deadly(place: str, last: str) -> DeviceError:
    """A call that ended whoever made it."""
    return DeviceError(
        f"what was lowered ended one worker of {place} after another{last}",
        "see the last words of those workers; if memory ran out, take fewer on a machine",
    )
