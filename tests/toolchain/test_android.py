"""The NDK presets, as far as they go without one: toolchain file and ExecuTorch are stubs."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from pipeline.toolchain.cmake import SOURCES, tool
from pipeline.toolchain.host import executorch_package

pytestmark = pytest.mark.build

#: Bare targets, no version: what an install tree of ExecuTorch has.
IN_TREE = """
foreach(name executorch executorch_core extension_module_static extension_tensor
    extension_data_loader extension_flat_tensor xnnpack_backend XNNPACK pthreadpool cpuinfo)
  add_library(${name} STATIC IMPORTED)
  set_target_properties(${name} PROPERTIES IMPORTED_LOCATION ${CMAKE_CURRENT_LIST_DIR}/lib${name}.a
    INTERFACE_INCLUDE_DIRECTORIES HEADERS)
endforeach()
"""


@pytest.fixture
def install_tree(tmp_path: Path) -> Path:
    folder = tmp_path / "executorch" / "lib" / "cmake" / "ExecuTorch"
    folder.mkdir(parents=True)
    headers = str(executorch_package() / "include")
    (folder / "executorch-config.cmake").write_text(IN_TREE.replace("HEADERS", headers))
    return tmp_path / "executorch"


@pytest.fixture
def ndk(tmp_path: Path) -> Path:
    """An NDK whose toolchain compiles for this machine."""
    folder = tmp_path / "ndk" / "build" / "cmake"
    folder.mkdir(parents=True)
    (folder / "android.toolchain.cmake").write_text("set(ANDROID TRUE)\n")
    return tmp_path / "ndk"


def configure(
    preset: str, build: Path, *options: str, **environment: Path
) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if k not in ("ANDROID_NDK", "EXECUTORCH_ANDROID")}
    return subprocess.run(
        [tool("cmake"), "--preset", preset, "-B", str(build), *options],
        cwd=SOURCES,
        env=kept | {name: str(path) for name, path in environment.items()},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("preset", ["android-arm64", "android-x86_64"])
def test_without_an_ndk_it_is_told_what_to_export(preset: str, tmp_path: Path) -> None:
    done = configure(preset, tmp_path / "build")
    said = " ".join(done.stderr.split())
    assert done.returncode != 0
    assert "ANDROID_NDK is not set" in said
    assert "scripts/build-harness linux-arm64" in said


def test_a_folder_that_is_no_ndk_is_told(tmp_path: Path) -> None:
    done = configure("android-arm64", tmp_path / "build", ANDROID_NDK=tmp_path)
    assert done.returncode != 0
    assert "is no NDK" in done.stderr


def test_an_install_tree_is_linked_with_its_backend_whole_and_for_pages_of_16_kb(
    ndk: Path, install_tree: Path, tmp_path: Path
) -> None:
    build = tmp_path / "build"
    done = configure(
        "android-arm64",
        build,
        "-DPWL_EXECUTORCH_VERSION=1.5.1",
        ANDROID_NDK=ndk,
        EXECUTORCH_ANDROID=install_tree,
    )
    assert done.returncode == 0, done.stderr
    rules = (build / "build.ninja").read_text()
    whole = "-Wl,--whole-archive"
    assert f"{whole} {install_tree}/lib/cmake/ExecuTorch/libxnnpack_backend.a" in rules.replace(
        "  ", " "
    )
    assert "-Wl,-z,max-page-size=16384" in rules
    assert 'PWL_EXECUTORCH_VERSION=\\"1.5.1\\"' in rules


def test_an_install_tree_that_does_not_say_its_version_is_asked_for_it(
    ndk: Path, install_tree: Path, tmp_path: Path
) -> None:
    done = configure(
        "android-arm64", tmp_path / "build", ANDROID_NDK=ndk, EXECUTORCH_ANDROID=install_tree
    )
    assert done.returncode != 0
    assert "-DPWL_EXECUTORCH_VERSION=" in done.stderr


def test_an_executorch_without_xnnpack_is_told(
    ndk: Path, install_tree: Path, tmp_path: Path
) -> None:
    config = install_tree / "lib/cmake/ExecuTorch/executorch-config.cmake"
    config.write_text(config.read_text().replace(" xnnpack_backend", ""))
    done = configure(
        "android-arm64",
        tmp_path / "build",
        "-DPWL_EXECUTORCH_VERSION=1.5.1",
        ANDROID_NDK=ndk,
        EXECUTORCH_ANDROID=install_tree,
    )
    assert done.returncode != 0
    assert "EXECUTORCH_BUILD_XNNPACK" in done.stderr
