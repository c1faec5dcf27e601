"""Workers on other machines: Dask or Ray hands calls out, and their results come back here.

Nothing is taken to lie on a disk that the machines share: what a call needs travels with it. A call
whose worker is lost is given to another one by the engine.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from pipeline.core.dask_workers import DaskWorkers
from pipeline.core.errors import UsageError
from pipeline.core.ray_workers import RayWorkers
from pipeline.core.remote_workers import RemoteWorkers

Result = TypeVar("Result")
ClusterEngine = Literal["dask", "ray"]

_SPEC = re.compile(r"(?P<engine>dask|ray)://(?P<place>[^/@\s]+:\d+)/?")


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster whose workers make one call at a time each.

    Attributes:
        place: ``HOST:PORT`` of Dask's scheduler, or of Ray Client's server.
        engine: what hands calls out there.
    """

    place: str
    engine: ClusterEngine = "dask"

    @classmethod
    def named(cls, spec: str) -> Cluster:
        """The cluster of a name such as ``dask://192.168.1.7:8786``; nothing is connected yet.

        Raises:
            UsageError: it is none.
        """
        found = _SPEC.fullmatch(spec)
        if found is None:
            raise UsageError(
                f"--cluster {spec} names no cluster",
                "write dask://HOST:PORT, of its scheduler, or ray://HOST:PORT, of its head node "
                "(port 10001)",
            )
        return cls(found["place"], "dask" if found["engine"] == "dask" else "ray")

    def require(self, packages: Iterable[str]) -> None:
        """Makes sure that there are workers that can be used, before what they wait for is made.

        Args:
            packages: as for `run`.

        Raises:
            UsageError: the engine is not installed, or a worker has other versions.
            DeviceError: no cluster answers, or it has no workers.
        """
        with self._connected() as workers:
            _require_alike(workers, packages)

    def run(
        self,
        function: Callable[..., Result],
        calls: Sequence[tuple[Any, ...]],
        packages: Iterable[str],
        received: Callable[[Result], None],
    ) -> None:
        """Calls a function on the workers.

        Args:
            function: of a module of the pipeline.
            calls: its arguments, a tuple each, which travel to the workers.
            packages: what has to be of the same version on the workers as here.
            received: given every result, in the order in which they are ready.

        Raises:
            PipelineError: as the function raises it; the other calls are dropped.
            UsageError: the engine is not installed, or a worker has other versions.
            DeviceError: the cluster or its last worker is lost, or a call ended several workers.
        """
        with self._connected() as workers:
            _require_alike(workers, packages)
            packed = [_packed(function, arguments) for arguments in calls]
            for result in workers.results(_unpacked, packed):
                received(result)

    def _connected(self) -> AbstractContextManager[RemoteWorkers]:
        engine = DaskWorkers if self.engine == "dask" else RayWorkers
        return engine.connected(self.place)


def _require_alike(workers: RemoteWorkers, packages: Iterable[str]) -> None:
    """What other versions make of a unit is not what this one would."""
    wanted = sorted({"torch", *packages})
    versions = _versions_by_value()
    ours = versions(wanted)
    for worker, found in workers.versions(versions, wanted).items():
        for name, version in ours.items():
            if (other := found.get(name, "nowhere")) != version:
                raise UsageError(
                    f"the worker {worker} has {name} {other}, here is {version}",
                    "install the same on all, from the same commit",
                )


def _packed(function: Callable[..., Any], arguments: tuple[Any, ...]) -> bytes:
    import cloudpickle  # which both engines bring

    packed: bytes = cloudpickle.dumps((function, arguments))
    return packed


def _unpacked(call: bytes) -> Any:
    """Makes a call that was packed by the one who asks for it.

    Dask itself would unpack the next one beside the thread that makes this one; and the operators
    of a unit are unpacked by tracing them, for which torch.fx patches modules in all threads.
    """
    function, arguments = pickle.loads(call)
    return function(*arguments)


def _versions_by_value() -> Callable[[Sequence[str]], dict[str, str]]:
    """A function that travels as it is: the pipeline may not be where it goes."""

    def versions(packages: Sequence[str]) -> dict[str, str]:
        import platform
        from importlib.metadata import PackageNotFoundError, version

        found = {"Python": ".".join(platform.python_version_tuple()[:2])}
        for name in packages:
            try:
                found[name] = version(name)
            except PackageNotFoundError:
                found[name] = "nowhere"
        try:
            from pipeline.core.release import NAME, commit, release
        except ImportError:
            return found
        found[NAME] = " ".join(filter(None, (release(), commit())))
        return found

    return versions
