"""A bundle whose units are lowered by the workers of a cluster."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.build import build
from pipeline.bundle.verify import Bundle
from pipeline.core.progress import Silent
from pipeline.settings import Settings, for_backend
from pipeline.workflows.build_bundle import assemble
from tests.dask_cluster import dask_cluster


def test_it_has_the_same_bytes_and_nothing_was_lowered_here(
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
    with dask_cluster(tmp_path) as started:
        assemble(settings, out, cache, Silent(), jobs=started.cluster)
    for name in ("tiny", "tiny.control"):
        sums = (litert_bundle.root.with_name(name) / "SHA256SUMS").read_text()
        assert (tmp_path / name / "SHA256SUMS").read_text() == sums
    assert len([*(cache / "units").glob("*.tflite")]) > 5


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
