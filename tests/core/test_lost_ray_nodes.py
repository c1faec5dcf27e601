"""What becomes of the work when whole nodes of a real Ray cluster are lost.

Run by scripts/test-cluster, apart from those tests that share a cluster: two on one machine get in
each other's way.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from pipeline.core import remote_workers
from pipeline.core.errors import DeviceError
from tests.cluster_calls import doubled, sleeps
from tests.no_hang import no_hang
from tests.ray_cluster import RayNodes, end, ray_cluster

pytestmark = pytest.mark.build


def test_the_last_worker_and_then_the_head_node_end_the_work_and_what_came_back_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_workers, "NO_WORKER_S", 1.0)
    monkeypatch.setattr(remote_workers, "ANSWER_S", 2.0)
    begun, found = tmp_path / "begun", list[object]()

    def end_when_begun(started: RayNodes) -> None:
        while not begun.exists():
            time.sleep(0.05)
        end(started.node)

    with ray_cluster(tmp_path, workers=1) as started, no_hang(240):
        threading.Thread(target=end_when_begun, args=(started,), daemon=True).start()
        with pytest.raises(DeviceError, match=r"the last worker at .* is lost; what came back"):
            started.cluster.run(
                sleeps, [(0.0, tmp_path / "first"), (600.0, begun)], (), found.append
            )
        assert found == [None]
        with pytest.raises(DeviceError, match="has no workers") as caught:
            started.cluster.run(doubled, [(1,)], (), found.append)
        assert "ray start --address" in caught.value.remedy
        end(started.head)
        with pytest.raises(DeviceError, match="no Ray cluster answers at"):
            started.cluster.run(doubled, [(1,)], (), found.append)


def test_a_head_node_that_is_lost_ends_the_work(tmp_path: Path) -> None:
    begun = tmp_path / "begun"

    def end_when_begun(started: RayNodes) -> None:
        while not begun.exists():
            time.sleep(0.05)
        end(started.head)

    with ray_cluster(tmp_path, workers=1) as started, no_hang(240):
        threading.Thread(target=end_when_begun, args=(started,), daemon=True).start()
        with pytest.raises(DeviceError, match=r"the head node at .* is lost"):
            started.cluster.run(sleeps, [(600.0, begun)], (), lambda _: None)
