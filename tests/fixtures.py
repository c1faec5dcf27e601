"""A small but real bundle, built once for the whole session, and the harness to run it.

Tests may run in several processes. What takes long is made by the first that needs it, behind a
lock, in a folder that all share; each process then works on a copy of its own.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath

import pytest

from pipeline.bundle.control import Controls
from pipeline.bundle.layout import control_folder
from pipeline.bundle.manifest import Manifest
from pipeline.bundle.verify import Bundle, open_bundle
from pipeline.core.atomic_files import sha256_of
from pipeline.core.progress import Silent
from pipeline.core.toml_file import load_toml
from pipeline.evaluation.predictions import EvaluatedModel
from pipeline.harness.campaign import CampaignOptions
from pipeline.harness.chain_arm import arm_names_of
from pipeline.harness.measurement_plan import MEASUREMENT_PLAN, measurement_plan
from pipeline.harness.placement import Deployment
from pipeline.report.schema import Report
from pipeline.settings import Settings, for_backend
from pipeline.toolchain.host import build_for_host
from pipeline.toolchain.linux_arm64 import build_for_linux_arm64
from pipeline.toolchain.package import Package
from pipeline.workflows.build_bundle import assemble
from pipeline.workflows.measure_device import ProfileOptions, measure
from pipeline.workflows.schedule_model import scheduled_model

ROOT = Path(__file__).parents[1]

#: Three blocks, other widths in teacher and student, real images, real training; seconds to build.
TINY_PROFILE = """
name = "tiny"

[data]
source = "digits"
image_size = 8
test_images = 1500

[model]
family = "resnet"

[model.teacher]
stem = 8
widths = [8, 12, 16]
depths = [1, 2, 1]

[model.student]
stem = 4
widths = [4, 6, 8]
depths = [1, 1, 1]

[training]
threads = 1

[training.teacher]
epochs = 3

[training.distillation]
recipe = "joint"
epochs = 3

[schedule]
stages = "all"

[bundle]
golden_images = 3
evaluation_images = 40
"""


def settings_from(text: str, folder: Path) -> Settings:
    """The settings that a profile's text says."""
    path = folder / "profile.toml"
    path.write_text(text)
    return load_toml(path, Settings)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Lets one process at a time through; a process that dies leaves nothing locked."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of this run share. Use it behind `locked` alone.

    PWL_TESTS_SHARED names the one of several runs that belong together.
    """
    if named := os.environ.get("PWL_TESTS_SHARED"):
        return Path(named)
    base = tmp_path_factory.getbasetemp()
    # That of a process of pytest-xdist lies in the folder of the whole run.
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def tiny_settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return settings_from(TINY_PROFILE, tmp_path_factory.mktemp("profile"))


@pytest.fixture(scope="session")
def tiny_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trained weights and lowered programs of the tiny profile, filled by `built_bundle`."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def tiny_model(
    tiny_settings: Settings, shared: Path, tmp_path_factory: pytest.TempPathFactory
) -> EvaluatedModel:
    """The tiny model, trained but not lowered, in a cache of its own."""
    cache = tmp_path_factory.mktemp("trained")
    with locked(shared / "trained.lock"):
        scheduled_model(tiny_settings, shared / "trained", Silent())
        shutil.copytree(shared / "trained", cache, dirs_exist_ok=True)
    return scheduled_model(tiny_settings, cache, Silent()).evaluated


@pytest.fixture(scope="session")
def built_bundle(
    tiny_settings: Settings,
    tiny_cache: Path,
    shared: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Bundle:
    """The tiny bundle for ExecuTorch. Read it only; `bundle_copy` is for writing."""
    out = tmp_path_factory.mktemp("dist") / "tiny"
    return _assembled(tiny_settings, shared, tiny_cache, out)


@pytest.fixture(scope="session")
def litert_bundle(
    tiny_settings: Settings,
    tiny_cache: Path,
    shared: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Bundle:
    """The same model for LiteRT."""
    out = tmp_path_factory.mktemp("dist-litert") / "tiny"
    return _assembled(for_backend(tiny_settings, "litert"), shared, tiny_cache, out)


def _assembled(settings: Settings, shared: Path, cache: Path, out: Path) -> Bundle:
    """A bundle in `out` and what it was made from in `cache`, made by the first that needs it."""
    (backend,) = settings.lowering.backend
    recipe = settings.training.distillation.recipe
    made = shared / f"dist-{backend}-{recipe}" / out.name
    with locked(shared / "cache.lock"):
        filled = shared / "cache"
        if recipe != "joint":
            # Another distillation begins with the teacher that is there. Whether it has run yet in
            # another process is nothing that `tiny_cache` shows.
            filled = shared / f"cache-{recipe}"
            if not filled.exists():
                shutil.copytree(shared / "cache", filled)
        # In this process: two workers would import for longer than they lower.
        assemble(settings, made, filled, Silent(), jobs=1)
        shutil.copytree(filled, cache, dirs_exist_ok=True)
    shutil.copytree(made, out)
    shutil.copytree(control_folder(made), control_folder(out))
    return open_bundle(out)


@pytest.fixture(scope="session", params=["executorch", "litert"])
def either_bundle(request: pytest.FixtureRequest) -> Bundle:
    """The tiny bundle, for one backend after the other."""
    name = "built_bundle" if request.param == "executorch" else "litert_bundle"
    bundle: Bundle = request.getfixturevalue(name)
    return bundle


@pytest.fixture(scope="session")
def distilled_again(
    built_bundle: Bundle,
    litert_bundle: Bundle,
    shared: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Bundle]:
    """Bundles of both backends with the tiny teacher and another student: the update of an app."""
    text = TINY_PROFILE.replace('recipe = "joint"', 'recipe = "reference"')
    folder = tmp_path_factory.mktemp("again")
    settings = settings_from(text, folder)
    return {
        name: _assembled(for_backend(settings, name), shared, folder / "cache", folder / name)
        for name in ("executorch", "litert")
    }


@pytest.fixture
def bundle_copy(built_bundle: Bundle, tmp_path: Path) -> Path:
    """A copy of the tiny bundle, with its control arms beside it, to be damaged."""
    target = tmp_path / "copy"
    shutil.copytree(built_bundle.root, target)
    shutil.copytree(f"{built_bundle.root}.control", f"{target}.control")
    return target


@pytest.fixture(scope="session")
def harness_package() -> Package:
    """The real harness, built for this machine (in the folder that the demo uses too)."""
    host = ROOT / "build" / "harness" / "host"
    with locked(host.parent / "host.lock"):
        return build_for_host(host, Silent())


@pytest.fixture(scope="session")
def arm64_package() -> Package:
    """The harness for 64-bit Arm, built in the folder that `profile` uses, too."""
    if shutil.which("aarch64-linux-gnu-g++") is None:
        pytest.skip("not here: the cross compiler (apt-get install g++-aarch64-linux-gnu)")
    folder = ROOT / "build" / "harness" / "linux-arm64"
    with locked(folder.parent / "linux-arm64.lock"):
        return build_for_linux_arm64(folder, Silent())


#: A campaign that takes two seconds.
SMALL_CAMPAIGN = partial(
    CampaignOptions, paced=1, latency_runs=1, latency_rounds=3, steady=3, hold=5, memory_runs=0
)


def measured_here(bundle: Bundle) -> Report:
    """What one round in a warm state on this machine gives; its files lie beside the bundle."""
    device = f"local:{bundle.root.parent / 'device'}"
    options = ProfileOptions(device=device, states=("warm",), rounds=1, work=ROOT / "build", fps=())
    return measure(bundle.root, options, Silent())


def deployment_in(
    root: Path, package: Package, manifest: Manifest, controls: Controls | None = None
) -> Deployment:
    """What lies in `root` as a deployment that nobody has checked: bundle/ and control/.

    The measurement plan is written beside them.
    """
    home, backend = PurePosixPath(package.root.resolve()), manifest.backend.name
    plan = root / MEASUREMENT_PLAN
    plan.write_text(measurement_plan(manifest, controls))
    (root / "caches").mkdir(exist_ok=True)
    return Deployment(
        command=tuple(package.command(home, backend)),
        plan=PurePosixPath(plan),
        plans=(sha256_of(plan), manifest.loading_plan.sha256),
        arms=arm_names_of(manifest, controls) if controls else (),
        engine=package.description.engines[backend],
        caching=("--weight-cache", str(root / "caches"), "--runtime", package.runtime_id(backend)),
        stages=len(manifest.stages),
        golden_images=manifest.golden.images,
        evaluation_images=manifest.evaluation.count,
    )
