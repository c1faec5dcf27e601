"""Commands that are told to end in the middle of their work: by Ctrl-C, and by SIGTERM."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.bundle.verify import Bundle
from pipeline.device.connect import connect
from pipeline.toolchain.package import Package
from tests.fixtures import ROOT, TINY_PROFILE
from tests.no_hang import no_hang

STOPS = pytest.mark.parametrize(
    ("number", "status", "word"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "ended by SIGTERM")],
    ids=["SIGINT", "SIGTERM"],
)

#: A command whose process is sent a signal when a function of it was called for the n-th time.
STOPPED = """
import importlib, os, signal, sys
command, number, place, times = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
sys.argv[1:] = sys.argv[5:]
module, _, path = place.partition(":")
*owners, name = path.split(".")
owner = importlib.import_module(module)
for one in owners:
    owner = getattr(owner, one)
real = getattr(owner, name)

def stopping(*args, **kwargs):
    global times
    found = real(*args, **kwargs)
    times -= 1
    if times == 0:
        os.kill(os.getpid(), number)
    return found

setattr(owner, name, stopping)
getattr(importlib.import_module(f"pipeline.{command}"), command)()
"""


def stopped(
    command: str, number: signal.Signals, place: str, *words: object, cwd: Path, times: int = 1
) -> subprocess.CompletedProcess[str]:
    """A command that gets a signal when the function at ``MODULE:NAME`` has returned `times`."""
    program = [sys.executable, "-c", STOPPED, command, str(int(number)), place, str(times)]
    return subprocess.run(
        [*program, *(str(word) for word in words)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def require_stopped(done: subprocess.CompletedProcess[str], status: int, word: str) -> None:
    assert done.returncode == status, done.stderr
    assert done.stderr.splitlines()[-1].strip() == f"{word}; what is finished is kept"
    assert "Traceback" not in done.stderr
    assert "error" not in done.stderr


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


OWN = """
from torch import nn
from pipeline.ingest.python import OwnModel

class Net(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.embedder = nn.Conv2d(1, width, 3, padding=1)
        self.blocks = nn.ModuleList([nn.Conv2d(width, 8, 3, padding=1)])
        self.classifier = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10))

def model():
    return OwnModel(Net(8), Net(4), (1, 8, 8))
"""
OWN_PROFILE = """
name = "own"
[data]
source = "digits"
[model]
source = "python:own.py:model"
[training]
threads = 1
teacher = { epochs = 1 }
distillation = { recipe = "joint", epochs = 1 }
"""


@STOPS
def test_a_build_that_is_stopped_while_it_tries_to_lower_leaves_nothing(
    number: signal.Signals, status: int, word: str, tmp_path: Path
) -> None:
    (tmp_path / "own.py").write_text(OWN)
    (tmp_path / "own.toml").write_text(OWN_PROFILE)
    # Inside the exporter, while its chatter is kept off the terminal.
    place = "pipeline.lowering.executorch.backend:rewritten"
    done = stopped("build", number, place, "own.toml", "--jobs", 1, cwd=tmp_path)
    require_stopped(done, status, word)
    assert not (tmp_path / "dist").exists()
    # Neither a model that was trained nor a structure that is believed to be taken.
    assert not list(tmp_path.rglob("*.safetensors"))
    assert not list(tmp_path.rglob("*.lowered"))


@STOPS
def test_a_build_that_is_stopped_while_it_packs_leaves_what_was_there(
    number: signal.Signals,
    status: int,
    word: str,
    bundle_copy: Path,
    tiny_cache: Path,
    tmp_path: Path,
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    if number == signal.SIGTERM:  # the other is the first build
        for path in (bundle_copy, Path(f"{bundle_copy}.control")):
            shutil.copytree(path, home / path.name)
    before = files(home)
    (tmp_path / "tiny.toml").write_text(TINY_PROFILE.replace('"tiny"', '"other"'))
    words = ("tiny.toml", "--cache", tiny_cache, "--out", home / bundle_copy.name)
    done = stopped("build", number, "pipeline.bundle.pack:write_folder", *words, cwd=tmp_path)
    require_stopped(done, status, word)
    assert files(home) == before
    assert sorted(path.name for path in home.iterdir()) == sorted(
        {Path(n).parts[0] for n in before}
    )


@STOPS
def test_a_push_that_is_stopped_leaves_no_part_of_a_file_and_no_lock_on_the_device(
    number: signal.Signals,
    status: int,
    word: str,
    built_bundle: Bundle,
    harness_package: Package,
    loopback_device: str,
    tmp_path: Path,
) -> None:
    with connect(loopback_device) as device:  # another test may have brought everything already
        device.run(["rm", "-rf", str(device.workdir / "bundles")], deadline_s=30)
    words = (built_bundle.root, "--device", loopback_device, "--harness", harness_package.root)
    place = "pipeline.device.adb.sync:_Upload._read"
    done = stopped("profile", number, place, *words, "--out", tmp_path / "out", cwd=tmp_path)
    require_stopped(done, status, word)
    assert not (tmp_path / "out").exists() or not files(tmp_path / "out")
    with connect(loopback_device) as device, device.lock():
        find = ["find", str(device.workdir), "-name", ".pwl-*.part"]
        with no_hang(10):  # adbd removes what it opened late as it finds out that the push ended
            while (left := device.run(find, deadline_s=30)).stdout:
                assert left.returncode == 0
        assert left.returncode == 0


@STOPS
def test_a_report_that_is_stopped_while_it_is_written_is_the_one_before(
    number: signal.Signals,
    status: int,
    word: str,
    built_bundle: Bundle,
    harness_package: Package,
    tmp_path: Path,
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for name in ("curve.svg", "report.html", "report.json"):
        (out / name).write_text("before")
    before = files(out)
    words = (built_bundle.root, "--device", f"local:{tmp_path / 'device'}", "--rounds", 3)
    harness = ("--harness", harness_package.root, "--out", out, "--fps", "none")
    # The first of the three files is written, the second is begun.
    place = "pipeline.core.atomic_files:_naming"
    done = stopped("profile", number, place, *words, *harness, cwd=tmp_path, times=2)
    require_stopped(done, status, word)
    assert files(out) == before
