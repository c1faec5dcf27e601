"""docs/own-model.md begins with fifteen lines from weights to a report: they run as they are."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file

from docs.my_resnet import ResNet
from pipeline.report.report_file import load_report
from pipeline.toolchain.package import Package
from tests.fixtures import ROOT
from tests.test_end_to_end import run

PAGE = (ROOT / "docs" / "own-model.md").read_text()
#: The page's first three blocks of code by their language.
BLOCKS = dict(re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL)[:3])


def test_there_are_fifteen_lines() -> None:
    lines = [line for text in BLOCKS.values() for line in text.splitlines()]
    assert [*BLOCKS] == ["python", "toml", "sh"]
    assert len([line for line in lines if line.strip() and not line.startswith("#")]) <= 15


def test_weights_become_a_report(harness_package: Package, tmp_path: Path) -> None:
    shutil.copy(ROOT / "docs" / "my_resnet.py", tmp_path)
    torch.manual_seed(0)
    save_file(ResNet().state_dict(), tmp_path / "model.safetensors")
    (tmp_path / "mine.py").write_text(BLOCKS["python"])
    (tmp_path / "mine.toml").write_text(BLOCKS["toml"])
    build, profile = (line.split()[2:] for line in BLOCKS["sh"].splitlines())
    # The backend that lowers in a third of the time; what is written is the same.
    made = run(*build, "--jobs", 1, "--backend", "litert", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    quick = ("--rounds", 1, "--states", "warm", "--fps", "none", "--harness", harness_package.root)
    measured = run(*profile, *quick, cwd=tmp_path)
    assert measured.returncode in (0, 5), measured.stderr  # one round says little of time
    (report,) = tmp_path.glob("reports/*/report.json")
    stages = load_report(report).stages
    assert [stages[0].route, stages[-1].route] == ["SS", "TT"]
    assert all(result.passed for result in load_report(report).parity)
