"""What a program starts ends with it, however it ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.core.children import run, started
from tests.fixtures import ROOT

#: Its child holds the same pipes: they are at their end when both are gone.
FAMILY = ["sh", "-c", "sleep 600 & echo started; wait"]


def test_where_the_block_fails_the_program_and_its_children_are_killed() -> None:
    with (
        pytest.raises(ValueError, match="no"),
        started(FAMILY, stdout=subprocess.PIPE, text=True) as process,
    ):
        assert process.stdout is not None
        output = os.dup(process.stdout.fileno())
        assert process.stdout.readline() == "started\n"
        raise ValueError("no")
    with os.fdopen(output) as rest:
        assert rest.read() == ""


def test_what_takes_too_long_is_killed_with_its_children() -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        run(FAMILY, timeout_s=0.1)


def test_what_a_program_says_is_given_whatever_its_bytes() -> None:
    done = run(["sh", "-c", r"printf '\351'; printf no >&2; exit 3"])
    assert (done.returncode, done.stdout, done.stderr) == (3, "\ufffd", "no")


#: A worker that has nothing more to do, and one that has, when their parent is killed.
WORKERS = """
import os, signal, time
from pipeline.lowering.pool import in_processes
in_processes(time.sleep, [(0,), (600,)], 2, lambda _: os.kill(os.getpid(), signal.SIGKILL))
"""
#: One of two that train together, as the launcher starts it; the other never comes.
RANK = """
import os, signal, subprocess, sys
CHILD = '''
import sys, time, types
def waiting(**_):
    print("waiting", flush=True)
    time.sleep(600)
sys.modules["accelerate"] = types.SimpleNamespace(PartialState=waiting)
from pipeline.training.processes import joined
joined("cpu").__enter__()
'''
env = {**os.environ, "WORLD_SIZE": "2", "RANK": "0"}
child = subprocess.Popen([sys.executable, "-c", CHILD], stdout=subprocess.PIPE, env=env)
assert child.stdout.readline() == b"waiting\\n"
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells a process of its parent's death")
@pytest.mark.parametrize("program", [WORKERS, RANK], ids=["workers", "training"])
def test_nothing_outlives_a_command_that_is_killed(program: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", program],
        stderr=subprocess.PIPE,  # read until all that hold it are gone
        stdout=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        timeout=120,
    )
    assert done.returncode == -9, done.stderr
