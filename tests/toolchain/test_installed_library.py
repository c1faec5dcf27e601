"""The C++ library as an app takes it: installed, found by CMake, with the engines it wants."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from pipeline.bundle.verify import Bundle
from pipeline.toolchain.cmake import configure, tool
from pipeline.toolchain.engines import Engines
from pipeline.toolchain.host import configure_command

CONSUMER = Path(__file__).parent / "consumer"
SOURCES = Path(__file__).parents[2] / "android_harness"


@dataclass(frozen=True)
class Installed:
    """A library with some engines, and a program that is linked with it."""

    prefix: Path
    answer: Path

    def run(self, bundle: Bundle) -> subprocess.CompletedProcess[str]:
        command = [str(self.answer), str(bundle.root), str(Engines.installed().opened["litert"])]
        return subprocess.run(command, capture_output=True, text=True, check=False)


def call(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]


def install(build: Path, folder: Path, *engines: str) -> Installed:
    """Builds the library alone in `build`, installs it, and builds the consumer against it.

    Nothing is optimized: what it computes is in the inference libraries. All builds share a folder,
    so that what does not depend on the engines is compiled once. Each source is a unit of its own,
    as an app compiles them: what one forgets to include, no other one brings.
    """
    prefix, cmake = folder / "installed", tool("cmake")
    switches = [
        f"-DPWL_{name.upper()}={'ON' if name in engines else 'OFF'}"
        for name in ("executorch", "litert")
    ]
    options = [
        "-DCMAKE_UNITY_BUILD=OFF",
        "-DPWL_HARNESS=OFF",
        "-DCMAKE_BUILD_TYPE=Debug",
        "-DCMAKE_CXX_FLAGS=-g0",
    ]
    call(configure_command(build, *switches, *options))
    call([cmake, "--build", str(build)])
    call([cmake, "--install", str(build), "--prefix", str(prefix)])
    packages = [
        prefix,
        *([Engines.installed().folders["executorch"]] if "executorch" in engines else []),
    ]
    call(
        configure(
            folder / "consumer",
            packages,
            *("-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_CXX_FLAGS=-Wall -Wextra -Werror"),
            sources=CONSUMER,
        )
    )
    call([cmake, "--build", str(folder / "consumer")])
    return Installed(prefix, folder / "consumer" / "answer")


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("build")


@pytest.fixture(scope="module")
def both(build: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return install(build, tmp_path_factory.mktemp("both"), "executorch", "litert")


@pytest.fixture(scope="module", params=["executorch", "litert"])
def alone(
    build: Path, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Installed:
    return install(build, tmp_path_factory.mktemp(request.param), request.param)


def golden(bundle: Bundle) -> list[float]:
    """The first logit of the first image at every stage."""
    files = bundle.manifest.golden.outputs
    return [float(np.fromfile(bundle.root / file.path, "<f4")[0]) for file in files]


def test_an_app_with_both_engines_answers_at_every_stage(
    both: Installed, either_bundle: Bundle
) -> None:
    done = both.run(either_bundle)
    assert done.returncode == 0, done.stderr
    assert [float(line) for line in done.stdout.split()] == pytest.approx(
        golden(either_bundle), rel=1e-3, abs=1e-4
    )


def test_an_app_with_one_engine_answers_and_says_what_the_other_would_need(
    alone: Installed, either_bundle: Bundle, request: pytest.FixtureRequest
) -> None:
    done = alone.run(either_bundle)
    engine = request.node.callspec.params["alone"]
    headers = {path.name for path in (alone.prefix / "include" / "pwl").iterdir()}
    assert {name for name in headers if name.endswith("_engine.h")} == {
        *("make_engine.h", f"{engine}_engine.h")
    }
    if either_bundle.manifest.backend.name == engine:
        assert done.returncode == 0, done.stderr
        assert [float(line) for line in done.stdout.split()] == pytest.approx(
            golden(either_bundle), rel=1e-3, abs=1e-4
        )
    else:
        assert done.returncode == 3
        assert f"but for {engine}" in done.stderr


def test_what_is_installed_is_what_an_app_includes_and_nothing_of_the_bench(
    both: Installed,
) -> None:
    headers = {path.name for path in (both.prefix / "include" / "pwl").iterdir()}
    assert headers == {
        *("bundle.h", "engine.h", "executorch_engine.h", "install.h", "litert_engine.h"),
        *("make_engine.h", "observer.h", "program_source.h", "progressive_model.h", "status.h"),
        *("verified_files.h", "version.h", "weight_cache.h", "weight_cache_builder.h"),
    }
    flags = (both.prefix / "lib/cmake/pwl/pwl-targets.cmake").read_text()
    assert "-Werror" not in flags
    assert str(SOURCES) not in flags


def test_no_engine_at_all_is_refused_in_words(tmp_path: Path) -> None:
    command = configure_command(tmp_path, "-DPWL_EXECUTORCH=OFF", "-DPWL_LITERT=OFF")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "PWL needs an engine" in done.stderr
