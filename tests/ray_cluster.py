"""A Ray cluster as its users start it: a head node that offers no processor, and one that does."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.core.cluster import Cluster
from pipeline.core.errors import DeviceError
from tests.fixtures import ROOT
from tests.no_hang import no_hang

_RAY = Path(sys.executable).with_name("ray")
_SETTINGS = {"RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": str(ROOT)}
_HERE = ("--node-ip-address", "127.0.0.1", "--min-worker-port", "0", "--max-worker-port", "0")
_SMALL = ("--object-store-memory", "100000000", "--disable-usage-stats")


@dataclass(frozen=True)
class RayNodes:
    """A head node and one that works.

    Attributes:
        cluster: as the pipeline knows it.
        head, node: their processes.
    """

    cluster: Cluster
    head: subprocess.Popen[bytes]
    node: subprocess.Popen[bytes]


def require_ray() -> None:
    """Skips the test where there is no Ray."""
    if not _RAY.is_file():
        pytest.skip("not here: ray (scripts/test-cluster makes an environment that has it)")


@contextmanager
def ray_cluster(folder: Path, *, workers: int = 2) -> Iterator[RayNodes]:
    """Starts a cluster, whose processes end with the block."""
    require_ray()
    gcs, client = _free_port(), _free_port()
    with ExitStack() as stack:
        # A path of a socket holds some hundred characters.
        short = stack.enter_context(tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp"))
        place = ("--port", str(gcs), "--ray-client-server-port", str(client))
        mine = ("--num-cpus", "0", "--include-dashboard", "false", "--temp-dir", short)
        head = stack.enter_context(_running(folder / "head.log", "--head", *place, *mine))
        _wait_for(head, folder, client)
        joined = ("--address", f"127.0.0.1:{gcs}", "--num-cpus", str(workers))
        node = stack.enter_context(_running(folder / "node.log", *joined))
        cluster = Cluster.named(f"ray://127.0.0.1:{client}")
        with no_hang(240):
            _wait_for_node(cluster)
        yield RayNodes(cluster, head, node)


def end(process: subprocess.Popen[bytes]) -> None:
    """Ends all processes of a node at once, as a machine that is switched off."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextmanager
def _running(log: Path, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [str(_RAY), "start", "--block", *words, *_HERE, *_SMALL]
    with log.open("wb") as said:
        process = subprocess.Popen(
            command, env=os.environ | _SETTINGS, stdout=said, stderr=said, start_new_session=True
        )
    try:
        yield process
    finally:
        end(process)


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def _wait_for(head: subprocess.Popen[bytes], folder: Path, port: int) -> None:
    with no_hang(120):
        while True:
            assert head.poll() is None, (folder / "head.log").read_text()
            with socket.socket() as found:
                if found.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.2)


def _wait_for_node(cluster: Cluster) -> None:
    """On a busy machine, what serves a client takes longer to start than Ray waits for it."""
    while True:
        with suppress(DeviceError):
            return cluster.require(())
