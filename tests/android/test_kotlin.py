"""The Kotlin library on the JVM of this machine, through real JNI, on both engines.

What it promises is written in kotlin/Specification.kt; each scenario is a test here.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.bundle.verify import Bundle
from pipeline.toolchain.elf import Elf
from pipeline.toolchain.engines import Engines
from tests.android.class_file import classes_of, missing_in
from tests.android.toolchain import (
    PLACE,
    SAMPLE,
    TESTS,
    android_jar,
    class_path,
    complaints,
    jvm,
    kotlin,
    native_library,
)

SCENARIOS = re.findall(r'scenario\("(.+)"\) \{', (TESTS / "Specification.kt").read_text())


@dataclass(frozen=True, slots=True)
class Run:
    """What one JVM said of all scenarios."""

    results: dict[str, str]
    done: subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def run(
    either_bundle: Bundle,
    distilled_again: dict[str, Bundle],
    tmp_path_factory: pytest.TempPathFactory,
) -> Run:
    native = native_library()
    work = tmp_path_factory.mktemp("jvm")
    before = distilled_again[either_bundle.manifest.backend.name]
    with class_path(kotlin()) as classes:
        library = Engines.installed().opened["litert"]
        places = tuple(map(str, (either_bundle.root, library, work, before.root)))
        done = jvm(classes, native, "dev.pwl.test.MainKt", *places, *SCENARIOS)
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    results = {
        line[1]: "" if line[0] == "ok" else line[2].replace("\\n", "\n")
        for line in lines
        if line[0] in ("ok", "failed")
    }
    return Run(results, done)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_on_the_jvm(scenario: str, run: Run) -> None:
    assert scenario in run.results, (run.done.stdout + run.done.stderr)[-4000:]
    if problem := run.results[scenario]:
        pytest.fail(problem, pytrace=False)


def test_the_jvm_has_nothing_to_say_against_the_native_half(run: Run) -> None:
    assert not complaints(run.done)


@pytest.fixture(scope="module")
def on_android(
    built_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory
) -> subprocess.CompletedProcess[str]:
    """On stand-ins of Android's classes (stubs/): its own word is not to be had here."""
    native = native_library()
    images = SAMPLE / "app" / "src" / "main" / "assets" / "samples"
    work = tmp_path_factory.mktemp("android")
    with class_path(kotlin()) as classes:
        places = tuple(map(str, (built_bundle.root, "", work, images)))
        return jvm(classes, native, "dev.pwl.test.OnAndroid", *places)


def test_what_needs_android_follows_assets_activities_and_memory(
    on_android: subprocess.CompletedProcess[str],
) -> None:
    assert "library ok" in on_android.stdout, on_android.stdout + on_android.stderr
    assert not complaints(on_android)


def test_the_sample_answers_climbs_is_turned_and_says_why_it_cannot(
    on_android: subprocess.CompletedProcess[str],
) -> None:
    assert "sample ok" in on_android.stdout, on_android.stdout + on_android.stderr


def test_the_official_module_is_an_engine(built_bundle: Bundle, tmp_path: Path) -> None:
    """On stand-ins of the AAR's classes, behind which real programs run."""
    native = native_library()
    with class_path(kotlin()) as classes:
        places = (str(built_bundle.root), str(tmp_path))
        done = jvm(classes, native, "dev.pwl.test.OnModules", *places)
    assert done.stdout.splitlines()[-1:] == ["ok"], done.stdout + done.stderr
    assert not complaints(done)


def test_library_and_sample_call_nothing_that_came_after_android_23() -> None:
    jar = android_jar()
    if jar is None:
        pytest.skip("not here: Debian's libandroid-23-java, which knows what Android 23 has")
    with class_path(kotlin()):
        used = [classes_of(PLACE / f"{name}.jar") for name in ("pwl", "sample", "tests")]
    library, sample, tests = used
    for app in (library, library | sample):
        # What Kotlin makes of data classes is of Android 24.
        assert {c.split(".")[1].split("(")[0] for c in missing_in(jar, app)} == {"hashCode"}
    # The tests run on the JVM here, and call what Android does not have.
    assert "java/lang/Thread.onSpinWait()V" in missing_in(jar, library | sample | tests)


def test_the_native_half_can_be_mapped_where_pages_have_16_kb() -> None:
    segments = Elf.read(native_library() / "libpwl_jni.so").segments
    assert segments
    assert all(segment.fits_pages_of(16384) for segment in segments)
