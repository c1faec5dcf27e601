"""A Dask cluster as its users start it: a scheduler, and workers in processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.cluster import Cluster
from tests.fixtures import ROOT
from tests.no_hang import no_hang

_PROGRAMS = Path(sys.executable).parent
#: A call that ends two workers in a row is given to no third one; lost ones are noticed at once.
_SETTINGS = {
    "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1",
    "DASK_DISTRIBUTED__WORKER__DEATH_TIMEOUT": "20",
}


@dataclass(frozen=True)
class Started:
    """A scheduler and its workers.

    Attributes:
        spec: as ``--cluster`` takes it.
        scheduler: its process.
        workers: those that start a worker each, again if it dies.
    """

    spec: str
    scheduler: subprocess.Popen[bytes]
    workers: tuple[subprocess.Popen[bytes], ...] = ()

    @property
    def cluster(self) -> Cluster:
        return Cluster.named(self.spec)


@contextmanager
def dask_cluster(folder: Path, *, workers: int = 2, threads: int = 1) -> Iterator[Started]:
    """Starts a cluster, whose processes end with the block."""
    file = folder / "scheduler.json"
    with ExitStack() as stack:
        place = ("--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--no-show")
        scheduler = stack.enter_context(
            _running(folder, "scheduler", *place, "--scheduler-file", str(file))
        )
        with no_hang(120):
            while not (file.exists() and file.read_text().rstrip().endswith("}")):  # written whole
                time.sleep(0.05)
        # The nanny of a worker starts it again when it dies.
        mine = ("--nthreads", str(threads), "--no-dashboard", "--scheduler-file", str(file))
        nannies = [stack.enter_context(_running(folder, "worker", *mine)) for _ in range(workers)]
        address = _address(file)
        _wait_for(address, workers)
        yield Started(f"dask://{address}", scheduler, tuple(nannies))


@contextmanager
def _running(folder: Path, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    environment = {**os.environ, **_SETTINGS, "PYTHONPATH": str(ROOT)}
    command = [str(_PROGRAMS / "dask"), *words]
    with (folder / f"{words[0]}.log").open("ab") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _address(file: Path) -> str:
    address: str = json.loads(file.read_text())["address"]
    return address.removeprefix("tcp://")


def _wait_for(address: str, workers: int) -> None:
    from distributed import Client

    if not workers:
        return
    with Client(address, timeout=60, set_as_default=False) as client:
        client.wait_for_workers(workers, timeout=120)
