"""The workers of a Ray cluster, reached through Ray Client: none of it need run on this machine."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pipeline.core import remote_workers
from pipeline.core.errors import DeviceError, PipelineError, UsageError

_START = "start one on each machine by `ray start --address=HOST:6379 --num-cpus=N`"
#: A call that ended so many workers after the first is given to no other one.
_RETRIES = 3
#: So often what serves a connection is started, and what the head node says where it did not.
_STARTS, _NOT_STARTED = 3, "Starting Ray client server failed"


@dataclass(frozen=True, slots=True)
class RayWorkers:
    """See `pipeline.core.remote_workers.RemoteWorkers`.

    Ray starts a process for each processor that a node offers, and has it make one call at a time;
    a call that lost its process, or the whole node, is given to another one.

    Attributes:
        place: ``HOST:PORT`` of Ray Client's server, on the head node.
    """

    place: str

    @classmethod
    @contextmanager
    def connected(cls, place: str) -> Iterator[RayWorkers]:
        """Connects to a cluster.

        Raises:
            UsageError: Ray is not installed, or is another one than the cluster's.
            DeviceError: no cluster answers.
        """
        # It reports on its use to its makers otherwise.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            import grpc  # noqa: F401  # which Ray Client needs
            import ray  # noqa: F401
        except ImportError:
            raise remote_workers.not_installed("ray", "ray") from None
        _require_listener(place)
        try:
            context = _init(place)
        except RuntimeError as error:  # "Version mismatch: The cluster was started with: ..."
            what = " ".join(str(error).split())
            raise UsageError(
                f"the Ray cluster at {place} cannot be used from here: {what}",
                "install the same Python and the same Ray on all machines",
            ) from None
        except ConnectionError as error:
            raise _unanswered(place, error) from None
        try:
            with context:
                yield cls(place)
        finally:
            context.disconnect()

    def versions(
        self, find: Callable[[Sequence[str]], dict[str, str]], packages: Sequence[str]
    ) -> Mapping[str, Mapping[str, str]]:
        """What every node that has processors to offer finds of these packages, by its address."""
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        until = time.monotonic() + remote_workers.ANSWER_S
        with _losses(self.place):
            while not (nodes := _nodes()):
                if time.monotonic() > until:
                    raise DeviceError(f"the Ray cluster at {self.place} has no workers", _START)
                time.sleep(0.1)
            asked = {
                address: ray.remote(find)
                .options(
                    num_cpus=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)
                )
                .remote(list(packages))
                for node, address in nodes.items()
            }
            return {address: ray.get(reference) for address, reference in asked.items()}

    def results(self, function: Callable[[bytes], Any], packed: Sequence[bytes]) -> Iterator[Any]:
        """What calls give, each as it is ready; those that are left are dropped at the end."""
        with _losses(self.place):
            yield from self._results(function, packed)

    def _results(self, function: Callable[[bytes], Any], packed: Sequence[bytes]) -> Iterator[Any]:
        import ray

        remote = ray.remote(function).options(num_cpus=1, max_retries=_RETRIES)
        left = [remote.remote(call) for call in packed]
        watch = remote_workers.WorkerWatch(self.place)
        try:
            while left:
                ready, left = ray.wait(left, num_returns=1, timeout=remote_workers.WORKER_LOOK_S)
                for reference in ready:
                    yield self._result(reference)
                watch.look(bool(ready) or bool(_nodes()))
        finally:
            if ray.is_initialized():
                for reference in left:
                    ray.cancel(reference, force=True)

    def _result(self, reference: Any) -> Any:
        import ray
        from ray.exceptions import NodeDiedError, OutOfMemoryError, RayTaskError, WorkerCrashedError

        try:
            return ray.get(reference)
        except RayTaskError as error:
            if isinstance(error.cause, PipelineError):
                raise error.cause from None
            raise
        except (WorkerCrashedError, OutOfMemoryError, NodeDiedError):
            raise remote_workers.deadly(self.place, "") from None


def _init(place: str) -> Any:
    """A connection; the head node starts a process for each, and now and then that fails to start.

    Raises:
        RuntimeError, ConnectionError: as `ray.init` does.
    """
    import ray

    for left in reversed(range(_STARTS)):
        try:
            return ray.init(
                f"ray://{place}", allow_multiple=True, logging_level="ERROR", log_to_driver=False
            )
        except ConnectionError as error:
            if not left or _NOT_STARTED not in str(error):
                raise
    raise AssertionError


def _nodes() -> dict[str, str]:
    """Addresses, for people, of those that work, by what Ray calls them."""
    import ray

    return {
        node["NodeID"]: f"{node['NodeManagerAddress']}:{node['NodeManagerPort']}"
        for node in ray.nodes()
        if node["Alive"] and node["Resources"].get("CPU", 0) >= 1
    }


def _require_listener(place: str) -> None:
    """Ray itself would try again for a minute."""
    host, _, port = place.rpartition(":")
    try:
        socket.create_connection((host, int(port)), remote_workers.ANSWER_S).close()
    except (OSError, OverflowError) as error:
        raise _unanswered(place, error) from None


def _unanswered(place: str, error: Exception) -> DeviceError:
    return DeviceError(
        f"no Ray cluster answers at {place}: {' '.join(str(error).split())}",
        "start one with `ray start --head`, and see that its Ray Client port (10001, unless "
        "--ray-client-server-port says otherwise) can be reached from here",
    )


@contextmanager
def _losses(place: str) -> Iterator[None]:
    """What Ray Client raises when its server, or the head node, is gone."""
    import grpc

    try:
        yield
    except (ConnectionError, grpc.RpcError):
        raise remote_workers.lost("the head node", place) from None
