"""What workers on other machines have in common, whichever engine hands calls out to them."""

from __future__ import annotations

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
