"""loading.plan: what a runtime opens says what the manifest says."""

from __future__ import annotations

import pytest

from pipeline.bundle.loading_plan import LOADING_PLAN, loading_plan_of
from pipeline.bundle.manifest import Manifest
from pipeline.bundle.verify import Bundle
from pipeline.settings import Loaders


def test_the_plan_of_a_bundle_says_what_its_manifest_says(either_bundle: Bundle) -> None:
    manifest = either_bundle.manifest
    text = (either_bundle.root / LOADING_PLAN).read_text()
    assert text == loading_plan_of(manifest)
    lines = text.splitlines()
    assert lines[0] == "pwl-loading-plan 1"
    assert lines[-1] == "end"
    assert f"backend {manifest.backend.name}" in lines
    assert f"runtime {manifest.backend.minimum_runtime}" in lines
    assert "input 64" in lines
    assert "classes 10" in lines
    assert "stage 1 teacher-0 encoder-0 student-1 student-2" in lines
    artifact = manifest.artifact("encoder-0")
    file = f"{artifact.path} {artifact.bytes} {artifact.sha256}"
    assert f"artifact encoder-0 {file} 512 256" in lines


def test_only_a_bundle_that_favors_memory_says_what_it_favors(either_bundle: Bundle) -> None:
    manifest = either_bundle.manifest
    assert "favor" not in loading_plan_of(manifest)
    assert "favor" not in manifest.backend.model_dump()
    backend = manifest.backend.model_copy(update={"favor": "memory"})
    favored = manifest.model_copy(update={"backend": backend})
    lines = loading_plan_of(favored).splitlines()
    assert lines[lines.index(f"threads {backend.threads}") + 1] == "favor memory"
    assert Manifest.model_validate_json(favored.model_dump_json()).backend.favor == "memory"


@pytest.mark.parametrize("loaders", [2, "auto"])
def test_only_a_bundle_that_is_not_loaded_by_one_thread_says_by_how_many(
    loaders: Loaders, either_bundle: Bundle
) -> None:
    manifest = either_bundle.manifest
    assert "loaders" not in loading_plan_of(manifest)
    assert "loaders" not in manifest.backend.model_dump()
    backend = manifest.backend.model_copy(update={"loaders": loaders})
    changed = manifest.model_copy(update={"backend": backend})
    lines = loading_plan_of(changed).splitlines()
    assert lines[lines.index(f"threads {backend.threads}") + 1] == f"loaders {loaders}"
    assert Manifest.model_validate_json(changed.model_dump_json()).backend.loaders == loaders


def test_it_names_nothing_that_does_not_ship(either_bundle: Bundle) -> None:
    text = (either_bundle.root / LOADING_PLAN).read_text()
    assert not any(word in text for word in ("golden", "eval", "control", "/tmp"))
