"""What becomes of the work when whole nodes of a real Ray cluster are lost.

Run by scripts/test-cluster, apart from those tests that share a cluster: two on one machine get in
each other's way.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from pipeline.core import remote_workers
from pipeline.core.errors import DeviceError
from tests.cluster_calls import doubled
from tests.cluster_checks import require_last_worker_lost, require_lost
from tests.no_hang import no_hang
from tests.ray_cluster import end, ray_cluster

pytestmark = pytest.mark.build


def test_the_last_worker_and_then_the_head_node_end_the_work_and_what_came_back_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_workers, "NO_WORKER_S", 1.0)
    monkeypatch.setattr(remote_workers, "ANSWER_S", 2.0)
    with ray_cluster(tmp_path, workers=1) as started, no_hang(240):
        require_last_worker_lost(started.cluster, tmp_path, partial(end, started.node))
        with pytest.raises(DeviceError, match="has no workers") as caught:
            started.cluster.run(doubled, [(1,)], (), lambda _: None)
        assert "ray start --address" in caught.value.remedy
        end(started.head)
        with pytest.raises(DeviceError, match="no Ray cluster answers at"):
            started.cluster.run(doubled, [(1,)], (), lambda _: None)


def test_a_head_node_that_is_lost_ends_the_work(tmp_path: Path) -> None:
    with ray_cluster(tmp_path, workers=1) as started, no_hang(240):
        ends = partial(end, started.head)
        require_lost(started.cluster, "the head node", tmp_path / "begun", ends)
