"""Workers of a Dask cluster, and what becomes of the work when some of them are lost."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.core import remote_workers
from pipeline.core.cluster import Cluster
from pipeline.core.dask_workers import DaskWorkers
from pipeline.core.errors import DeviceError, UsageError
from tests.cluster_calls import doubled
from tests.cluster_checks import (
    require_deadly_refused,
    require_every_result_once,
    require_last_worker_lost,
    require_lost,
    require_other_version_refused,
    require_told_as_here,
    require_unpacked_where_called,
)
from tests.dask_cluster import Started, dask_cluster
from tests.no_hang import no_hang

pytestmark = pytest.mark.build


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever starts workers anew, where others keep the processors busy, takes a while."""
    monkeypatch.setattr(remote_workers, "ANSWER_S", 60.0)


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    with dask_cluster(tmp_path_factory.mktemp("dask")) as started:
        yield started


def test_every_result_comes_back_once_that_of_a_lost_worker_too(
    started: Started, tmp_path: Path
) -> None:
    with no_hang(120):
        require_every_result_once(started.cluster, tmp_path)


def test_a_call_is_unpacked_by_the_thread_that_makes_it(started: Started) -> None:
    """Beside one that lowers, unpacking a unit gives torch.fx's tracing of both away."""
    with no_hang(120):
        require_unpacked_where_called(started.cluster)


def test_what_is_wrong_with_a_unit_is_said_as_it_is_here(started: Started) -> None:
    with no_hang(120):
        require_told_as_here(started.cluster)


def test_what_ends_one_worker_after_another_is_given_to_no_more(started: Started) -> None:
    with no_hang(120):
        require_deadly_refused(started.cluster)


def test_a_worker_of_another_version_is_refused_by_its_name(
    started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    with no_hang(120):
        require_other_version_refused(started.cluster, monkeypatch, "tcp://.*")


def test_a_worker_with_several_threads_is_refused(tmp_path: Path) -> None:
    with (
        dask_cluster(tmp_path, workers=1, threads=2) as started,
        no_hang(120),
        pytest.raises(UsageError, match="has 2 threads") as caught,
    ):
        started.cluster.run(doubled, [(1,)], (), lambda _: None)
    assert "--nthreads 1" in caught.value.remedy


def test_a_scheduler_that_is_lost_ends_the_work(tmp_path: Path) -> None:
    with dask_cluster(tmp_path, workers=1) as started, no_hang(180):
        ends = started.scheduler.kill
        require_lost(started.cluster, "the scheduler", tmp_path / "begun", ends)


def test_the_last_worker_that_is_lost_ends_the_work_and_what_came_back_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_workers, "NO_WORKER_S", 1.0)
    with dask_cluster(tmp_path, workers=1) as started, no_hang(180):
        require_last_worker_lost(started.cluster, tmp_path, started.workers[0].terminate)


def test_a_result_that_is_lost_with_the_last_worker_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was computed, and who had it went before it was fetched."""
    monkeypatch.setattr(remote_workers, "NO_WORKER_S", 1.0)
    fetch = DaskWorkers._result
    with dask_cluster(tmp_path, workers=1) as started, no_hang(180):

        def late(workers: DaskWorkers, *arguments: Any) -> Any:
            started.workers[0].terminate()
            while workers.client.nthreads():
                time.sleep(0.05)
            return fetch(workers, *arguments)

        monkeypatch.setattr(DaskWorkers, "_result", late)
        with pytest.raises(DeviceError, match=r"the last worker at .* is lost"):
            started.cluster.run(doubled, [(1,)], (), lambda _: None)


def test_a_scheduler_without_workers_says_how_to_start_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_workers, "ANSWER_S", 2.0)
    with (
        dask_cluster(tmp_path, workers=0) as started,
        no_hang(120),
        pytest.raises(DeviceError, match="has no workers") as caught,
    ):
        started.cluster.run(doubled, [(1,)], (), lambda _: None)
    assert "dask worker" in caught.value.remedy


def test_nobody_at_the_address_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_workers, "ANSWER_S", 0.5)
    with no_hang(120), pytest.raises(DeviceError, match=r"no Dask scheduler answers at 127\.0\.0"):
        Cluster.named("dask://127.0.0.1:1").run(doubled, [(1,)], (), lambda _: None)


def test_without_dask_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UsageError, match="needs the package `distributed`") as caught:
        Cluster("127.0.0.1:1").run(doubled, [(1,)], (), lambda _: None)
    assert "[cluster]" in caught.value.remedy


def test_without_ray_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match="needs the package `ray`") as caught:
        Cluster.named("ray://127.0.0.1:1").run(doubled, [(1,)], (), lambda _: None)
    assert "[ray]" in caught.value.remedy


@pytest.mark.parametrize(
    "spec", ["", "host:8786", "dask://host", "ray://host", "spark://host:1", "dask://a:b"]
)
def test_what_names_no_cluster_is_refused(spec: str) -> None:
    with pytest.raises(UsageError, match="names no cluster") as caught:
        Cluster.named(spec)
    assert "dask://HOST:PORT" in caught.value.remedy
    assert "ray://HOST:PORT" in caught.value.remedy
