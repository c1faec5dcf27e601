"""A second clone, or a worktree, runs the code that lies in it, whichever one is installed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fixtures import ROOT

ROOMS = ("pipeline", "tests", "benchmarks")
SCRIPTS = ["build-harness", "write-models", "write-operators", "write-schemas"]


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_runs_the_code_beside_it(name: str, tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    script = Path(shutil.copy(ROOT / "scripts" / name, tmp_path / "scripts"))
    for room in ROOMS:
        (tmp_path / room).mkdir()
        (tmp_path / room / "__init__.py").write_text("raise SystemExit('beside')\n")
    clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [sys.executable, str(script), "host"]
    found = subprocess.run(command, cwd="/", env=clean, capture_output=True, text=True)
    assert (found.returncode, found.stderr) == (1, "beside\n")


def test_benchmarks_run_as_modules_of_the_folder_that_one_is_in() -> None:
    pages = [ROOT / "CONTRIBUTING.md", ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    named = re.compile(r"python benchmarks/(\w+)\.py")
    told = {
        name
        for page in [*pages, *(ROOT / "benchmarks").glob("*.py")]
        for name in named.findall(page.read_text(encoding="utf-8"))
    }
    assert told <= {"peer_export", "peer_run"}  # which `benchmarks.peers` starts with its own code
