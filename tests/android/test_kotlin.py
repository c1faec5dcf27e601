"""The Kotlin library on the JVM of this machine, through real JNI, on both engines.

What it promises is written in kotlin/Specification.kt; each scenario is a test here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.bundle.verify import Bundle
from pipeline.toolchain.engines import Engines
from tests.android.toolchain import TESTS, class_path, jvm, kotlin, native_library

SCENARIOS = re.findall(r'scenario\("(.+)"\) \{', (TESTS / "Specification.kt").read_text())


@dataclass(frozen=True, slots=True)
class Run:
    """What one JVM said of all scenarios."""

    results: dict[str, str]
    output: str


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
    return Run(results, done.stdout + done.stderr)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_on_the_jvm(scenario: str, run: Run) -> None:
    assert scenario in run.results, run.output[-4000:]
    if problem := run.results[scenario]:
        pytest.fail(problem, pytrace=False)


def test_the_jvm_has_nothing_to_say_against_the_native_half(run: Run) -> None:
    """-Xcheck:jni looks at every call: pending exceptions, wrong types, references that leak."""
    assert not re.findall(r"WARNING in native method.*|FATAL ERROR.*", run.output)


def test_what_needs_android_follows_assets_activities_and_memory(
    built_bundle: Bundle, tmp_path: Path
) -> None:
    """On stand-ins of Android's classes (stubs/): its own word is not to be had here."""
    native = native_library()
    with class_path(kotlin()) as classes:
        places = (str(built_bundle.root), "", str(tmp_path))
        done = jvm(classes, native, "dev.pwl.test.OnAndroid", *places)
    assert done.stdout.splitlines()[-1:] == ["ok"], done.stdout + done.stderr


def test_the_official_module_is_an_engine(built_bundle: Bundle, tmp_path: Path) -> None:
    """On stand-ins of the AAR's classes, behind which real programs run."""
    native = native_library()
    with class_path(kotlin()) as classes:
        places = (str(built_bundle.root), str(tmp_path))
        done = jvm(classes, native, "dev.pwl.test.OnModules", *places)
    assert done.stdout.splitlines()[-1:] == ["ok"], done.stdout + done.stderr
