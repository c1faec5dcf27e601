"""The workers of a Dask scheduler."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.core import remote_workers
from pipeline.core.errors import DeviceError, PipelineError, UsageError

if TYPE_CHECKING:  # an optional extra
    from distributed import Client, Future

_ONE_EACH = "start workers by `dask worker HOST:PORT --nthreads 1 --nworkers N`"


@dataclass(frozen=True, slots=True)
class DaskWorkers:
    """See `pipeline.core.remote_workers.RemoteWorkers`.

    Attributes:
        place: ``HOST:PORT`` of the scheduler.
        client: connected to it.
    """

    place: str
    client: Client

    @classmethod
    @contextmanager
    def connected(cls, place: str) -> Iterator[DaskWorkers]:
        """Connects to a scheduler.

        Raises:
            UsageError: Dask is not installed.
            DeviceError: no scheduler answers.
        """
        try:
            from distributed import Client
        except ImportError:
            raise remote_workers.not_installed("distributed", "cluster") from None
        try:
            client = Client(place, timeout=remote_workers.ANSWER_S, set_as_default=False)
        except (OSError, ValueError) as error:
            raise DeviceError(
                f"no Dask scheduler answers at {place}: {error}",
                "start one with `dask scheduler`, and see that its port can be reached from here",
            ) from None
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Sending large graph", UserWarning)
                yield cls(place, client)
        finally:
            client.close(timeout=remote_workers.ANSWER_S)

    def versions(
        self, find: Callable[[Sequence[str]], dict[str, str]], packages: Sequence[str]
    ) -> Mapping[str, Mapping[str, str]]:
        """What every worker finds of these packages, by its address."""
        try:  # one that died may be on its way back
            self.client.wait_for_workers(1, timeout=remote_workers.ANSWER_S)
        except TimeoutError:
            raise DeviceError(f"the scheduler at {self.place} has no workers", _ONE_EACH) from None
        threads: Mapping[str, int] = self.client.nthreads()
        found: Mapping[str, Mapping[str, str]] = self.client.run(find, packages)
        for worker in found:
            if threads.get(worker, 1) != 1:
                raise UsageError(
                    f"the worker {worker} has {threads[worker]} threads, and exporters stand no "
                    "other beside them",
                    _ONE_EACH,
                )
        return found

    def results(self, function: Callable[[bytes], Any], packed: Sequence[bytes]) -> Iterator[Any]:
        """What calls give, each as it is ready; those that are left are dropped at the end."""
        # No result is taken for another one's: each call has a name of its own.
        futures = [self.client.submit(function, call, pure=False) for call in packed]
        watch = remote_workers.WorkerWatch(self.place)
        try:
            for future in self._finished(futures, watch):
                yield self._result(future, watch)
        finally:
            if self.client.status == "running":
                self.client.cancel(futures)

    def _finished(
        self, futures: Sequence[Future], watch: remote_workers.WorkerWatch
    ) -> Iterator[Future]:
        """Each as it ends, as long as there is somebody who works on the rest."""
        from distributed import as_completed

        left = set(futures)
        while left:
            try:
                look = remote_workers.WORKER_LOOK_S
                for future in as_completed(left, loop=self.client.loop, timeout=look):
                    left.discard(future)
                    yield future
            except TimeoutError:
                self._require_workers(watch)

    def _result(self, future: Future, watch: remote_workers.WorkerWatch) -> Any:
        """Fetches a result from who has it; one that is lost there is computed again."""
        from distributed import CancelledError, KilledWorker

        patience = remote_workers.WORKER_LOOK_S
        while True:
            try:
                return future.result(timeout=patience)
            except PipelineError:
                raise
            except TimeoutError:
                if future.status == "error":  # what the call itself raised
                    raise
                self._require_workers(watch)
                patience *= 2  # it begins anew each time, and a link may be slow
            except KilledWorker as error:
                last = f", {error.last_worker.address} the last"
                raise remote_workers.deadly(self.place, last) from None
            except CancelledError:
                raise remote_workers.lost("the scheduler", self.place) from None

    def _require_workers(self, watch: remote_workers.WorkerWatch) -> None:
        if self.client.status != "running":
            raise remote_workers.lost("the scheduler", self.place) from None
        watch.look(bool(self.client.nthreads()))
