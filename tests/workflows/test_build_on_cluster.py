"""A bundle whose units are lowered by the workers of a cluster."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.build import build
from pipeline.bundle.verify import Bundle
from pipeline.core.cluster import Cluster
from pipeline.core.errors import DeviceError
from pipeline.core.progress import Silent
from pipeline.settings import Settings, for_backend
from pipeline.workflows.build_bundle import assemble
from tests.dask_cluster import dask_cluster
from tests.ray_cluster import ray_cluster


@contextmanager
def started_by(engine: str, folder: Path) -> Iterator[Cluster]:
    """A cluster of two workers; skips the test where its engine cannot be had."""
    if engine == "dask":
        with dask_cluster(folder) as scheduler:
            yield scheduler.cluster
    else:
        with ray_cluster(folder) as nodes:
            yield nodes.cluster


@pytest.mark.parametrize("engine", ["dask", "ray"])
def test_it_has_the_same_bytes_and_nothing_was_lowered_here(
    engine: str,
    tiny_settings: Settings,
    litert_bundle: Bundle,
    tiny_cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cache = tmp_path / "cache"
    shutil.copytree(tiny_cache, cache, ignore=shutil.ignore_patterns("units", "builds"))
    monkeypatch.setattr("pipeline.lowering.worker.lowered", None)
    settings, out = for_backend(tiny_settings, "litert"), tmp_path / "tiny"
    with started_by(engine, tmp_path) as cluster:
        assemble(settings, out, cache, Silent(), jobs=cluster)
    for name in ("tiny", "tiny.control"):
        sums = (litert_bundle.root.with_name(name) / "SHA256SUMS").read_text()
        assert (tmp_path / name / "SHA256SUMS").read_text() == sums
    assert len([*(cache / "units").glob("*.tflite")]) > 5


def test_a_cluster_that_cannot_be_used_is_told_before_anything_is_trained(
    tiny_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.core.remote_workers.ANSWER_S", 0.5)
    monkeypatch.setattr("pipeline.workflows.build_bundle._composition", None)
    with pytest.raises(DeviceError, match="no Dask scheduler answers"):
        assemble(
            for_backend(tiny_settings, "litert"),
            tmp_path / "tiny",
            tmp_path / "cache",
            Silent(),
            jobs=Cluster("127.0.0.1:1"),
        )
    assert not (tmp_path / "tiny").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--cluster", "dask://h:1", "--jobs", "2"), "--jobs and --cluster are both given"),
        (("--cluster", "h:1"), "--cluster h:1 names no cluster"),
    ],
)
def test_words_that_do_not_go_together_are_refused(words: tuple[str, ...], said: str) -> None:
    result = CliRunner().invoke(build, ["profiles/digits-resnet.toml", *words])
    assert result.exit_code == 2
    assert said in result.stderr
