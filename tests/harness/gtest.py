"""The C++ unit tests by name, the program that they are in, and what became of each of them."""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pipeline.toolchain.cmake import tool
from pipeline.toolchain.engines import Engines
from pipeline.toolchain.host import configure_command
from tests.fixtures import ROOT, locked

_SOURCES = ROOT / "android_harness" / "tests"
_TEST = re.compile(r"^TEST(_F)?\((\w+),\s*(\w+)\)", re.MULTILINE)


def _tests() -> dict[str, bool]:
    """``Suite.Name`` of every test in the sources, and whether it runs on a bundle.

    They are read, not asked for, so that the program need not be compiled to collect them.
    """
    found: dict[str, bool] = {}
    for path in sorted(_SOURCES.glob("*_test.cc")):
        text = path.read_text()
        for fixture, suite, name in _TEST.findall(text):
            found[f"{suite}.{name}"] = bool(fixture) and "real_bundle_fixture.h" in text
    return found


_TESTS = _tests()
#: Those that run once for each backend.
ON_A_BUNDLE = [name for name, on_bundle in _TESTS.items() if on_bundle]
BY_THEMSELVES = [name for name, on_bundle in _TESTS.items() if not on_bundle]


@dataclass(slots=True)
class Program:
    """The unit tests, compiled.

    Args:
        path: the executable.
    """

    path: Path
    _results: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def built(cls, sanitizer: str) -> Program:
        """Compiled under a sanitizer, or plain, unless it is there and nothing changed."""
        build = ROOT / "build" / "harness" / f"tests-{sanitizer or 'plain'}"
        build.mkdir(parents=True, exist_ok=True)
        options = ("-DPWL_TESTS=ON", f"-DPWL_SANITIZER={sanitizer}")
        configure = configure_command(build, *options)
        with locked(build / ".lock"):
            for step in (
                configure,
                [tool("cmake"), "--build", str(build), "--target", "pwl_tests"],
            ):
                done = subprocess.run(step, capture_output=True, text=True, check=False)
                assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
        return cls(build / "pwl_tests")

    def listed(self) -> list[str]:
        """The tests that are in it."""
        done = self._run("--gtest_list_tests")
        names, suite = [], ""
        for line in done.stdout.splitlines():
            if line.endswith("."):
                suite = line
            elif line.startswith("  "):
                names.append(suite + line.strip())
        return names

    def require(self, name: str, folder: Path, bundle: Path | None = None) -> None:
        """Fails unless a test passes, or says that it cannot run here.

        All run together the first time. A test that this gave no result for, as after a crash, runs
        by itself.

        Args:
            name: ``Suite.Name``.
            folder: a temporary one.
            bundle: of the bundle to run on; without one, the tests that need one are left out.
        """
        key = f"{bundle} {name}"
        if key not in self._results:
            chosen = ON_A_BUNDLE if bundle else BY_THEMSELVES
            for test, result in self._outcomes(chosen, folder, bundle)[0].items():
                self._results[f"{bundle} {test}"] = result
        if key in self._results:
            result, said = self._results[key], ""
        else:
            found, said = self._outcomes([name], folder, bundle)
            result = found.get(name, {"result": "crashed"})
        if result["result"] == "SKIPPED":
            reason = result["said"].strip().splitlines()[-1]
            assert reason.startswith(("not here: ", "not under sanitizers: ")), reason
            pytest.skip(reason)
        failures = "\n".join(failure["failure"] for failure in result.get("failures", ()))
        assert result["result"] == "COMPLETED", f"{result['result']}\n{said}"
        assert not failures, f"{failures}\n{said}"

    def _outcomes(
        self, names: list[str], folder: Path, bundle: Path | None
    ) -> tuple[dict[str, dict[str, Any]], str]:
        """Results by test, and what the program said; a crash or a sanitizer's find leaves none."""
        report = folder / "gtest.json"
        report.unlink(missing_ok=True)
        done = self._run(
            f"--gtest_filter={':'.join(names)}", f"--gtest_output=json:{report}", bundle=bundle
        )
        said = (done.stdout + done.stderr)[-8000:]
        if not report.is_file():
            return {}, said
        suites = json.loads(report.read_text())["testsuites"]
        results = {
            f"{suite['name']}.{test['name']}": test
            for suite in suites
            for test in suite["testsuite"]
        }
        for name, result in results.items():
            # The report has the reasons of failures only.
            _, _, rest = done.stdout.partition(f"[ RUN      ] {name}\n")
            result["said"] = rest.partition(f"] {name}")[0].rpartition("[")[0]
        failed = any(test.get("failures") for test in results.values())
        # A sanitizer may let all tests pass and say at the end what it found: then each runs alone.
        return ({} if done.returncode and not failed else results), said

    def _run(self, *options: str, bundle: Path | None = None) -> subprocess.CompletedProcess[str]:
        # A damaged program may ask for any amount of memory: the answer is "no", not an abort.
        sanitizing = "allocator_may_return_null=1"
        environment = os.environ | {
            "PWL_TEST_LITERT": str(Engines.installed().opened["litert"]),
            "ASAN_OPTIONS": sanitizing,
            "TSAN_OPTIONS": sanitizing,
        }
        if bundle is not None:
            environment["PWL_TEST_BUNDLE"] = str(bundle)
        return subprocess.run(
            [str(self.path), *options], env=environment, capture_output=True, text=True, check=False
        )
