"""Weight caches of both engines: faster starts, and never the weights of another program."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipeline.bundle.verify import Bundle
from pipeline.device.local import LocalDevice
from pipeline.harness.session import HarnessSession
from pipeline.toolchain.package import Package
from tests.fixtures import deployment_in


def placed(bundle: Bundle, root: Path, package: Package) -> HarnessSession:
    """Puts a bundle where an earlier one lay; its weight caches stay."""
    shutil.rmtree(root / "bundle", ignore_errors=True)
    shutil.copytree(bundle.root, root / "bundle")
    deployment = deployment_in(root, package, bundle.manifest)
    return HarnessSession(LocalDevice(root / "work"), deployment, deadline_s=60)


def deviation(session: HarnessSession, bundle: Bundle, root: Path) -> float:
    """How far the logits of a cached run of all stages are from the golden ones."""
    largest = 0.0
    for line in session.run("parity", *session.deployment.caching):
        stage = int(line["name"].removeprefix("stage-"))
        path = bundle.root / bundle.manifest.golden.outputs[stage].path
        golden = memoryview(path.read_bytes()).cast("f").tolist()
        classes = len(bundle.manifest.model.labels)
        wanted = golden[line["input"] * classes : (line["input"] + 1) * classes]
        scale = max(map(abs, golden))
        largest = max(
            largest,
            *(abs(a - b) / scale for a, b in zip(line["logits"], wanted, strict=True)),
        )
    return largest


def test_a_cache_is_named_after_the_program_and_the_runtime(
    either_bundle: Bundle, harness_package: Package, tmp_path: Path
) -> None:
    session = placed(either_bundle, tmp_path, harness_package)
    session.install()
    runtime = harness_package.runtime_id(either_bundle.manifest.backend.name)
    expected = {f"{unit.sha256}-{runtime}.xnnpack" for unit in either_bundle.manifest.artifacts}
    assert {path.name for path in (tmp_path / "caches").glob("*.xnnpack")} == expected


def test_starts_without_the_option_leave_no_cache(
    either_bundle: Bundle, harness_package: Package, tmp_path: Path
) -> None:
    placed(either_bundle, tmp_path, harness_package).progress("warm", 1)
    assert list((tmp_path / "caches").iterdir()) == []


def test_cached_weights_give_the_same_logits(
    either_bundle: Bundle, harness_package: Package, tmp_path: Path
) -> None:
    session = placed(either_bundle, tmp_path, harness_package)
    session.install()
    assert deviation(session, either_bundle, tmp_path) < 1e-4


def test_an_updated_model_does_not_get_the_old_weights(
    either_bundle: Bundle,
    distilled_again: dict[str, Bundle],
    harness_package: Package,
    tmp_path: Path,
) -> None:
    placed(either_bundle, tmp_path, harness_package).install()
    updated = distilled_again[either_bundle.manifest.backend.name]
    session = placed(updated, tmp_path, harness_package)
    assert deviation(session, updated, tmp_path) < 1e-4


def test_a_cache_found_by_its_path_alone_would_serve_the_old_weights(
    litert_bundle: Bundle,
    distilled_again: dict[str, Bundle],
    harness_package: Package,
    tmp_path: Path,
) -> None:
    """Why the names carry a sha256, and that the test above can fail."""
    placed(litert_bundle, tmp_path, harness_package).install()
    updated = distilled_again["litert"]
    runtime = harness_package.runtime_id("litert")
    for old in litert_bundle.manifest.artifacts:
        new = updated.manifest.artifact(old.id)
        for end in ("xnnpack", "xnnpack.sha256"):
            cache = tmp_path / "caches" / f"{old.sha256}-{runtime}.{end}"
            cache.rename(cache.with_name(f"{new.sha256}-{runtime}.{end}"))
    session = placed(updated, tmp_path, harness_package)
    assert deviation(session, updated, tmp_path) > 1e-2


@pytest.mark.parametrize("damage", ["cut", "empty", "garbage", "flipped"])
def test_a_damaged_cache_costs_time_and_nothing_else(
    damage: str, either_bundle: Bundle, harness_package: Package, tmp_path: Path
) -> None:
    session = placed(either_bundle, tmp_path, harness_package)
    session.install()
    for path in (tmp_path / "caches").glob("*.xnnpack"):
        data = path.read_bytes()
        middle = len(data) // 2
        content = {
            "cut": data[:middle],
            "empty": b"",
            "garbage": b"x" * len(data),
            "flipped": bytes(byte ^ 0x40 if at >= middle else byte for at, byte in enumerate(data)),
        }
        path.chmod(0o600)
        path.write_bytes(content[damage])
    assert deviation(session, either_bundle, tmp_path) < 1e-4
