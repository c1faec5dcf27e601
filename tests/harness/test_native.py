"""The C++ unit tests, as they are and under sanitizers, on a real bundle."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from pipeline.bundle.control import control_folder
from pipeline.bundle.verify import Bundle, open_controls
from pipeline.harness.plan import plan_text
from pipeline.harness.toolchain import configure_command, installed_litert_library, tool
from tests.fixtures import ROOT


@pytest.fixture(scope="session")
def plan(either_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The plan of the tiny bundle, as it lies on a device."""
    root = tmp_path_factory.mktemp("deployed")
    controls = open_controls(control_folder(either_bundle.root), either_bundle.manifest)
    (root / "bundle").symlink_to(either_bundle.root)
    (root / "control").symlink_to(control_folder(either_bundle.root))
    (root / "plan").write_text(plan_text(either_bundle.manifest, controls))
    return root / "plan"


@pytest.mark.parametrize("sanitizer", ["", "address", "thread"])
def test_the_runtime_s_unit_tests_pass(sanitizer: str, plan: Path) -> None:
    build = ROOT / "build" / "harness" / f"tests-{sanitizer or 'plain'}"
    build.mkdir(parents=True, exist_ok=True)
    command = configure_command(build, "-DPWL_TESTS=ON", f"-DPWL_SANITIZER={sanitizer}")
    for step in (command, [tool("cmake"), "--build", str(build), "--target", "pwl_tests"]):
        done = subprocess.run(step, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    # A damaged program may ask for any amount of memory: the answer is "no", not an abort.
    options = "allocator_may_return_null=1"
    environment = os.environ | {
        "PWL_TEST_PLAN": str(plan),
        "PWL_TEST_LITERT": str(installed_litert_library()),
        "ASAN_OPTIONS": options,
        "TSAN_OPTIONS": options,
    }
    done = subprocess.run(
        [str(build / "pwl_tests")], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert "[  SKIPPED ]" not in done.stdout
