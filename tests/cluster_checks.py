"""What holds for the clusters of every engine alike."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.core.cluster import Cluster
from pipeline.core.errors import DeviceError, IntegrityError, UsageError
from tests.cluster_calls import Thread, dies, dies_once, doubled, is_here, sleeps, wrong


def require_every_result_once(cluster: Cluster, folder: Path) -> None:
    """Every result comes back once, that of a lost worker, too."""
    found: list[int] = []
    cluster.run(doubled, [(number,) for number in (1, 1, 3)], (), found.append)
    assert sorted(found) == [2, 2, 6]
    found.clear()
    cluster.run(dies_once, [(number, folder) for number in range(3)], (), found.append)
    assert sorted(found) == [0, 1, 2]
    assert (folder / "died").exists()


def require_unpacked_where_called(cluster: Cluster) -> None:
    """A call is unpacked by the thread that makes it."""
    found: list[bool] = []
    cluster.run(is_here, [(Thread(),)], (), found.append)
    assert found == [True]


def require_told_as_here(cluster: Cluster) -> None:
    """What is wrong with a unit is said as it is on this machine."""
    with pytest.raises(IntegrityError, match="unit 7 deviates") as caught:
        cluster.run(wrong, [(7,)], (), lambda _: None)
    assert type(caught.value) is IntegrityError
    assert caught.value.remedy == "look at it"


def require_deadly_refused(cluster: Cluster) -> None:
    """What ends one worker after another is given to no more."""
    with pytest.raises(DeviceError, match=r"one worker of .* after another") as caught:
        cluster.run(dies, [(1,)], (), lambda _: None)
    assert "memory" in caught.value.remedy


def require_other_version_refused(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, worker: str
) -> None:
    """A worker of another version is refused by its name, which is a pattern."""
    monkeypatch.setattr("pipeline.core.release.release", lambda: "0.0.1")
    with pytest.raises(UsageError, match=rf"worker {worker} has pwl-android .*0\.0\.1"):
        cluster.run(doubled, [(1,)], (), lambda _: None)


def require_lost(cluster: Cluster, who: str, begun: Path, ends: Callable[[], object]) -> None:
    """A call that runs when somebody is lost ends with the name of who that is, a pattern."""

    def end_when_begun() -> None:
        while not begun.exists():
            time.sleep(0.05)
        ends()

    threading.Thread(target=end_when_begun, daemon=True).start()
    with pytest.raises(DeviceError, match=rf"{who} at .* is lost"):
        cluster.run(sleeps, [(600.0, begun)], (), lambda _: None)


def require_last_worker_lost(cluster: Cluster, folder: Path, ends: Callable[[], object]) -> None:
    """Work ends with the last worker, and what came back is kept."""
    begun, found = folder / "begun", list[object]()

    def end_when_begun() -> None:
        while not (begun.exists() and found):  # a result that is not fetched is lost with it
            time.sleep(0.05)
        ends()

    threading.Thread(target=end_when_begun, daemon=True).start()
    with pytest.raises(DeviceError, match=r"the last worker at .* is lost; what came back"):
        cluster.run(sleeps, [(0.0, folder / "first"), (600.0, begun)], (), found.append)
    assert found == [None]
