"""Workers of a real Ray cluster, and what becomes of the work when one of them is lost.

Run by scripts/test-cluster: Ray takes 240 MB.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.core.cluster import Cluster
from pipeline.core.errors import DeviceError, IntegrityError, UsageError
from tests.cluster_calls import Thread, dies, dies_once, doubled, is_here, wrong
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
    found: list[int] = []
    with no_hang(120):
        started.cluster.run(doubled, [(number,) for number in (1, 1, 3)], (), found.append)
        assert sorted(found) == [2, 2, 6]
        found.clear()
        calls = [(number, tmp_path) for number in range(3)]
        started.cluster.run(dies_once, calls, (), found.append)
    assert sorted(found) == [0, 1, 2]
    assert (tmp_path / "died").exists()


def test_a_call_is_unpacked_by_the_thread_that_makes_it(started: RayNodes) -> None:
    found: list[bool] = []
    with no_hang(60):
        started.cluster.run(is_here, [(Thread(),)], (), found.append)
    assert found == [True]


def test_what_is_wrong_with_a_unit_is_said_as_it_is_here(started: RayNodes) -> None:
    with no_hang(60), pytest.raises(IntegrityError, match="unit 7 deviates") as caught:
        started.cluster.run(wrong, [(7,)], (), lambda _: None)
    assert type(caught.value) is IntegrityError
    assert caught.value.remedy == "look at it"


def test_what_ends_one_worker_after_another_is_given_to_no_more(started: RayNodes) -> None:
    with (
        no_hang(180),
        pytest.raises(DeviceError, match=r"one worker of .* after another") as caught,
    ):
        started.cluster.run(dies, [(1,)], (), lambda _: None)
    assert "memory" in caught.value.remedy


def test_a_worker_of_another_version_is_refused_by_its_name(
    started: RayNodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.core.release.release", lambda: "0.0.1")
    with no_hang(60), pytest.raises(UsageError, match=r"worker .*:\d+ has pwl-android .*0\.0\.1"):
        started.cluster.run(doubled, [(1,)], (), lambda _: None)


def test_nobody_at_the_address_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    require_ray()
    with no_hang(30), pytest.raises(DeviceError, match=r"no Ray cluster answers at 127\.0\.0"):
        Cluster.named("ray://127.0.0.1:1").run(doubled, [(1,)], (), lambda _: None)
