"""The NDK presets, as far as they go without one: toolchain file and ExecuTorch are stubs."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import pytest

from pipeline.core.errors import UsageError
from pipeline.core.progress import Progress, Silent
from pipeline.toolchain import android
from pipeline.toolchain.build_harness import build_harness
from pipeline.toolchain.cmake import SOURCES, tool
from pipeline.toolchain.engines import Engines
from pipeline.toolchain.package import Package
from pipeline.toolchain.target import Target

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


#: Compiles for this machine; like the NDK's, it looks for packages in its own folder alone unless
#: it is told otherwise.
TOOLCHAIN = """
set(ANDROID TRUE)
set(CMAKE_FIND_ROOT_PATH ${CMAKE_CURRENT_LIST_DIR})
if(NOT CMAKE_FIND_ROOT_PATH_MODE_PACKAGE)
  set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
endif()
"""


def install(tree: Path) -> Path:
    """What `cmake --install` of ExecuTorch leaves in a folder."""
    folder = tree / "lib" / "cmake" / "ExecuTorch"
    folder.mkdir(parents=True, exist_ok=True)
    headers = str(Engines.installed().folders["executorch"] / "include")
    (folder / "executorch-config.cmake").write_text(IN_TREE.replace("HEADERS", headers))
    return tree


@pytest.fixture
def install_tree(tmp_path: Path) -> Path:
    return install(tmp_path / "executorch")


@pytest.fixture
def ndk(tmp_path: Path) -> Path:
    folder = tmp_path / "ndk" / "build" / "cmake"
    folder.mkdir(parents=True)
    (folder / "android.toolchain.cmake").write_text(TOOLCHAIN)
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


def test_a_package_for_android_is_the_program_alone(
    ndk: Path,
    install_tree: Path,
    harness_package: Package,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Configured in earnest, compiled for this machine: there are no headers of bionic."""
    commands: list[Sequence[str]] = []

    def compiled(command: list[str], build: Path, progress: Progress) -> Path:
        commands.append(command)
        build.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return harness_package.root / harness_package.description.program

    monkeypatch.setattr(android, "compile_harness", compiled)
    monkeypatch.setenv("ANDROID_NDK", str(ndk))
    monkeypatch.setenv("EXECUTORCH_ANDROID", str(install_tree))

    def build() -> Package:
        return build_harness(Target.parse("android-arm64-29"), tmp_path / "work", Silent())

    package = build()
    described = package.description
    assert (described.target, described.abi) == ("android-arm64-29", "arm64-v8a")
    assert described.engines == {"executorch": Engines.installed().names["executorch"]}
    assert [*package.files] == [described.program]
    assert (described.loader, described.libraries, described.opened) == (None, None, {})
    command = package.command(PurePosixPath("/data/local/tmp/pwl"), "executorch")
    assert command == [f"/data/local/tmp/pwl/{described.program}"]
    assert {"-DANDROID_ABI=arm64-v8a", "-DANDROID_PLATFORM=android-29"} <= {*commands[0]}
    build()
    assert len(commands) == 1, "nothing changed"
    (install_tree / "lib" / "libexecutorch.a").write_bytes(b"another one")
    build()
    assert len(commands) == 2


def test_without_the_ndk_no_package_is_built_for_android(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ANDROID_NDK", raising=False)
    with pytest.raises(UsageError, match="ANDROID_NDK is not set") as caught:
        build_harness(Target.parse("android-arm64"), tmp_path, Silent())
    assert "docs/phone.md" in caught.value.remedy


SCRIPT = SOURCES.parent / "scripts" / "build-executorch-android"
#: Writes down how it was called; what git clones is there then, and must not have been before.
RECORDER = """#!/bin/sh
echo "$(basename "$0") $*" >> "$RECORD"
for last; do :; done
case $1 in clone) mkdir "$last" ;; esac
"""


def run_script(folder: Path, *arguments: str, **environment: Path) -> tuple[int, str, str]:
    tools = folder / "tools"
    tools.mkdir(exist_ok=True)
    for name in ("git", "cmake"):
        (tools / name).write_text(RECORDER)
        (tools / name).chmod(0o755)
    kept = {k: v for k, v in os.environ.items() if k != "ANDROID_NDK"}
    kept |= {"PATH": f"{tools}:{os.environ['PATH']}", "RECORD": str(folder / "record")}
    kept |= {name: str(path) for name, path in environment.items()}
    done = subprocess.run(
        [SCRIPT, *arguments], env=kept, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout, done.stderr


def test_the_script_builds_the_pinned_executorch_once_fetched(tmp_path: Path, ndk: Path) -> None:
    place = tmp_path / "place"
    for _ in range(2):
        status, printed, _ = run_script(tmp_path, "arm64-v8a", str(place), ANDROID_NDK=ndk)
        assert status == 0
    version = next(
        line.partition("==")[2]
        for line in (SCRIPT.parent / "constraints.txt").read_text().splitlines()
        if line.startswith("executorch==")
    )
    assert printed.splitlines() == [str(place / version / "arm64-v8a")]
    said = (tmp_path / "record").read_text()
    assert said.count(f"git clone --depth 1 --branch v{version} ") == 1
    assert f"-DCMAKE_TOOLCHAIN_FILE={ndk}/build/cmake/android.toolchain.cmake" in said
    assert f"-DCMAKE_INSTALL_PREFIX={printed.strip()}" in said
    # What executorch.cmake asks of an install tree.
    for extension in ("MODULE", "DATA_LOADER", "FLAT_TENSOR", "NAMED_DATA_MAP", "TENSOR"):
        assert f"-DEXECUTORCH_BUILD_EXTENSION_{extension}=ON" in said
    assert "-DEXECUTORCH_BUILD_XNNPACK=ON" in said


def test_the_script_fetches_again_what_was_stopped(tmp_path: Path, ndk: Path) -> None:
    assert run_script(tmp_path, "arm64-v8a", str(tmp_path / "place"), ANDROID_NDK=ndk)[0] == 0
    (source,) = (tmp_path / "place").glob("executorch-*")
    source.rename(f"{source}.part")
    assert run_script(tmp_path, "arm64-v8a", str(tmp_path / "place"), ANDROID_NDK=ndk)[0] == 0
    assert list((tmp_path / "place").glob("executorch-*")) == [source]


def test_the_script_says_what_it_needs(tmp_path: Path) -> None:
    status, _, said = run_script(tmp_path)
    assert status == 2
    assert "ANDROID_NDK" in said
    status, _, said = run_script(tmp_path, "armeabi-v7a")
    assert status == 2
    assert "arm64-v8a or x86_64" in said
    assert not (tmp_path / "record").exists()


GRADLE = SOURCES / "android" / "pwl" / "build.gradle.kts"


def gradle_arguments(**properties: str) -> list[str]:
    """What build.gradle.kts has Gradle pass to CMake, for properties as -P gives them."""
    script = GRADLE.read_text()
    names = dict(re.findall(r'val (\w+) = providers\.gradleProperty\("(\w+)"\)', script))
    passed, taken = [], [True]  # taken: the branches that the line is in
    for line in script[script.index("cmake {") :].splitlines()[1:]:
        words = line.strip()
        if found := re.fullmatch(r"if \((\w+)\.isPresent\) \{", words):
            taken.append(names[found[1]] in properties)
        elif words == "} else {":
            taken[-1] = not taken[-1]
        elif words == "}":
            taken.pop()
            if not taken:
                break
        elif all(taken) and (found := re.fullmatch(r'arguments \+= "(.+)"', words)):
            passed.append(
                re.sub(r"\$\{(\w+)\.get\(\)\}", lambda p: properties[names[p[1]]], found[1])
            )
    return passed


def configure_as_gradle(
    build: Path, ndk: Path, **properties: str
) -> subprocess.CompletedProcess[str]:
    toolchain = ndk / "build" / "cmake" / "android.toolchain.cmake"
    return subprocess.run(
        [
            *(tool("cmake"), "-S", SOURCES / "jni", "-B", build, "-G", "Ninja"),
            *(f"-DCMAKE_TOOLCHAIN_FILE={toolchain}", "-DANDROID_ABI=arm64-v8a"),
            *gradle_arguments(**properties),
        ],
        capture_output=True,
        text=True,
        check=False,
    )


def test_gradle_links_what_the_script_has_built(tmp_path: Path, ndk: Path) -> None:
    _, printed, _ = run_script(tmp_path, "arm64-v8a", str(tmp_path / "place"), ANDROID_NDK=ndk)
    tree = install(Path(printed.strip()))
    done = configure_as_gradle(tmp_path / "build", ndk, pwlExecutorch=str(tree.parent))
    assert done.returncode == 0, done.stderr
    rules = (tmp_path / "build" / "build.ninja").read_text()
    whole = f"-Wl,--whole-archive {tree}/lib/cmake/ExecuTorch/libxnnpack_backend.a"
    assert whole in rules.replace("  ", " ")
    assert f'PWL_EXECUTORCH_VERSION=\\"{tree.parent.name}\\"' in rules
    assert "-Wl,-z,max-page-size=16384" in rules
    assert "-DANDROID_SUPPORT_FLEXIBLE_PAGE_SIZES=ON" in gradle_arguments()


def test_gradle_says_which_abi_was_not_built(tmp_path: Path, ndk: Path) -> None:
    done = configure_as_gradle(tmp_path / "build", ndk, pwlExecutorch=str(tmp_path))
    assert done.returncode != 0
    assert f"{tmp_path}/arm64-v8a is not there" in " ".join(done.stderr.split())


def test_gradle_passes_on_the_version_of_another_build(tmp_path: Path, ndk: Path) -> None:
    install(tmp_path / "trees" / "arm64-v8a")
    trees = {"pwlExecutorch": str(tmp_path / "trees")}
    done = configure_as_gradle(tmp_path / "build", ndk, **trees)
    assert "-DPWL_EXECUTORCH_VERSION=" in done.stderr
    done = configure_as_gradle(tmp_path / "build", ndk, **trees, pwlExecutorchVersion="1.6.0")
    assert done.returncode == 0, done.stderr
    assert 'PWL_EXECUTORCH_VERSION=\\"1.6.0\\"' in (tmp_path / "build/build.ninja").read_text()


def test_gradle_builds_for_litert_alone_without_an_executorch(tmp_path: Path, ndk: Path) -> None:
    done = configure_as_gradle(tmp_path / "build", ndk)
    assert done.returncode == 0, done.stderr
    assert "executorch" not in (tmp_path / "build" / "build.ninja").read_text()
