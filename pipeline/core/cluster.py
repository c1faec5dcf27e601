"""Workers on other machines: Dask's scheduler hands calls out, and their results come back here.

Nothing is taken to lie on a disk that the machines share: what a call needs travels with it. A call
whose worker is lost is given to another one by the scheduler.
"""

from __future__ import annotations

import pickle
import re
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from pipeline.core.errors import DeviceError, PipelineError, UsageError

if TYPE_CHECKING:  # an optional extra
    from distributed import Client, Future

Result = TypeVar("Result")

_SPEC = re.compile(r"dask://(?P<place>[^/@\s]+:\d+)/?")
#: Seconds that the scheduler may take to answer, and that a scheduler may be without any worker.
_ANSWER_S, _NO_WORKER_S = 10.0, 60.0
#: Seconds between two looks at whether there are workers.
_LOOK_S = 2.0
_ONE_EACH = "start workers by `dask worker HOST:PORT --nthreads 1 --nworkers N`"


@dataclass(frozen=True, slots=True)
class Cluster:
    """A Dask scheduler with workers, each of which makes one call at a time.

    Attributes:
        place: ``HOST:PORT`` of the scheduler.
    """

    place: str

    @classmethod
    def named(cls, spec: str) -> Cluster:
        """The cluster of a name such as ``dask://192.168.1.7:8786``; nothing is connected yet.

        Raises:
            UsageError: it is none.
        """
        found = _SPEC.fullmatch(spec)
        if found is None:
            raise UsageError(
                f"--cluster {spec} names no cluster", "write dask://HOST:PORT, of its scheduler"
            )
        return cls(found["place"])

    def require(self, packages: Iterable[str]) -> None:
        """Makes sure that there are workers that can be used, before what they wait for is made.

        Args:
            packages: as for `run`.

        Raises:
            UsageError: Dask is not installed, or a worker has other versions.
            DeviceError: no scheduler answers, or it has no workers.
        """
        with self._connected() as client:
            self._require_alike(client, packages)

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
            UsageError: Dask is not installed, or a worker has other versions.
            DeviceError: the scheduler or the last worker is lost, or a call ended several workers.
        """
        with self._connected() as client, warnings.catch_warnings():
            import cloudpickle  # which Dask brings

            warnings.filterwarnings("ignore", "Sending large graph", UserWarning)
            self._require_alike(client, packages)
            # No result is taken for another one's: each call has a name of its own.
            packed = [cloudpickle.dumps((function, arguments)) for arguments in calls]
            futures = [client.submit(_unpacked, call, pure=False) for call in packed]
            try:
                for future in self._finished(client, futures):
                    received(self._result(future))
            finally:
                if client.status == "running":
                    client.cancel(futures)

    @contextmanager
    def _connected(self) -> Iterator[Client]:
        try:
            from distributed import Client
        except ImportError:
            raise UsageError(
                "--cluster needs the package `distributed`, which is not installed",
                "pip install 'pwl-android[cluster]'",
            ) from None
        try:
            client = Client(self.place, timeout=_ANSWER_S, set_as_default=False)
        except (OSError, ValueError) as error:
            raise DeviceError(
                f"no Dask scheduler answers at {self.place}: {error}",
                "start one with `dask scheduler`, and see that its port can be reached from here",
            ) from None
        try:
            yield client
        finally:
            client.close(timeout=_ANSWER_S)

    def _require_alike(self, client: Client, packages: Iterable[str]) -> None:
        """What other versions make of a unit is not what this one would."""
        wanted = sorted({"torch", *packages})
        try:
            client.wait_for_workers(1, timeout=_ANSWER_S)  # one that died may be on its way back
        except TimeoutError:
            raise DeviceError(f"the scheduler at {self.place} has no workers", _ONE_EACH) from None
        threads: Mapping[str, int] = client.nthreads()
        versions = _versions_by_value()
        ours = versions(wanted)
        for worker, found in client.run(versions, wanted).items():
            if threads.get(worker, 1) != 1:
                raise UsageError(
                    f"the worker {worker} has {threads[worker]} threads, and exporters stand no "
                    "other beside them",
                    _ONE_EACH,
                )
            for name, version in ours.items():
                if (other := found.get(name, "nowhere")) != version:
                    raise UsageError(
                        f"the worker {worker} has {name} {other}, here is {version}",
                        "install the same on all, from the same commit",
                    )

    def _finished(self, client: Client, futures: Sequence[Future]) -> Iterator[Future]:
        """Each as it ends, as long as there is somebody who works on the rest."""
        from distributed import as_completed

        left, alone_since = set(futures), time.monotonic()
        while left:
            try:
                for future in as_completed(left, loop=client.loop, timeout=_LOOK_S):
                    left.discard(future)
                    yield future
            except TimeoutError:
                if client.status != "running":
                    raise self._lost("the scheduler") from None
                if client.nthreads():
                    alone_since = time.monotonic()
                elif time.monotonic() - alone_since > _NO_WORKER_S:
                    raise self._lost("the last worker") from None

    def _result(self, future: Future) -> Any:
        from distributed import CancelledError, KilledWorker

        try:
            return future.result()
        except PipelineError:
            raise
        except KilledWorker as error:
            raise DeviceError(
                f"what was lowered ended one worker of {self.place} after another, "
                f"{error.last_worker.address} the last",
                "see the last words of those workers; if memory ran out, take fewer on a machine",
            ) from None
        except CancelledError:
            raise self._lost("the scheduler") from None

    def _lost(self, who: str) -> DeviceError:
        return DeviceError(
            f"{who} at {self.place} is lost; what came back is kept",
            "see that scheduler and workers run, then run again",
        )


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
