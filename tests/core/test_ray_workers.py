"""Workers of a real Ray cluster, and what becomes of the work when one of them is lost.

Run by scripts/test-cluster: Ray takes 240 MB.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.core.cluster import Cluster
from pipeline.core.errors import DeviceError
from tests.cluster_calls import doubled
from tests.cluster_checks import (
    require_deadly_refused,
    require_every_result_once,
    require_other_version_refused,
    require_told_as_here,
    require_unpacked_where_called,
)
from tests.no_hang import no_hang
from tests.ray_cluster import RayNodes, ray_cluster, require_ray

pytestmark = pytest.mark.build


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayNodes]:
    with ray_cluster(tmp_path_factory.mktemp("ray")) as started:
        yield started


def test_every_result_comes_back_once_that_of_a_lost_worker_too(
    started: RayNodes, tmp_path: Path
) -> None:
    with no_hang(120):
        require_every_result_once(started.cluster, tmp_path)


def test_a_call_is_unpacked_by_the_thread_that_makes_it(started: RayNodes) -> None:
    with no_hang(60):
        require_unpacked_where_called(started.cluster)


def test_what_is_wrong_with_a_unit_is_said_as_it_is_here(started: RayNodes) -> None:
    with no_hang(60):
        require_told_as_here(started.cluster)


def test_what_ends_one_worker_after_another_is_given_to_no_more(started: RayNodes) -> None:
    with no_hang(180):
        require_deadly_refused(started.cluster)


def test_a_worker_of_another_version_is_refused_by_its_name(
    started: RayNodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    with no_hang(60):
        require_other_version_refused(started.cluster, monkeypatch, r".*:\d+")


def test_what_serves_a_connection_and_did_not_start_is_started_again(
    started: RayNodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    init, refused = ray.init, ["Starting Ray client server failed. See x.err"] * 2

    def fails_at_first(*words: object, **options: object) -> object:
        if refused:
            raise ConnectionError(refused.pop())
        return init(*words, **options)

    monkeypatch.setattr(ray, "init", fails_at_first)
    found: list[int] = []
    with no_hang(120):
        started.cluster.run(doubled, [(1,)], (), found.append)
    assert found == [2]


def test_nobody_at_the_address_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    require_ray()
    with no_hang(30), pytest.raises(DeviceError, match=r"no Ray cluster answers at 127\.0\.0"):
        Cluster.named("ray://127.0.0.1:1").run(doubled, [(1,)], (), lambda _: None)
