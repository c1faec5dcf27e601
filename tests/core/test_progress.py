from __future__ import annotations

import os
import re
import socket
import subprocess
import sys

import pytest

from pipeline.core.progress import Bars, LineRows, Lines, rows_for_terminal
from tests.fixtures import ROOT


def test_a_long_note_leaves_the_time_whole_on_100_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    note = "epoch 4/6  93 89 99 100 % right  student 0.601 cross 0.741"
    with Bars().task("distil (joint)", total=1) as task:
        task.advance(1, note)
    shown = capsys.readouterr().err
    assert "0:00:00" in shown
    assert note in shown


def test_a_line_says_how_long_the_rest_takes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr("pipeline.core.progress.time.monotonic", lambda: now)
    with Lines().task("train teacher", total=40) as task:
        task.advance(20, "going on after epoch 2")  # in no time: says nothing of the pace
        now += 60
        task.advance(1)
        now += 4000
        task.advance(7)
    assert capsys.readouterr().err.splitlines()[:2] == [
        "train teacher:  52 %, 19:00 left  going on after epoch 2",
        "train teacher:  70 %, 1:41:30 left  going on after epoch 2",
    ]


def test_lines_of_several_works_begin_with_their_names(capsys: pytest.CaptureFixture[str]) -> None:
    rows = LineRows()
    one, other = rows.row("adb:one"), rows.row("adb:other")
    with one.task("push", total=2) as task, other.task("starts", total=1):
        task.advance(2, "teacher.pte")
        other.say("waits")
    one.end("measured")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "adb:other: waits"
    assert lines[-1] == "adb:one: measured"
    assert [line.partition(": done")[0] for line in lines[1:3]] == [
        *("adb:other: starts", "adb:one: push")
    ]


def test_a_line_is_one_write() -> None:
    """Also where nothing is buffered: what other processes write does not come within it."""
    program = (
        "from pipeline.core.progress import LineRows\n"
        "row = LineRows().row('adb:one')\n"
        "row.say('waits')\n"
        "with row.task('push', total=1):\n"
        "    pass\n"
    )
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        subprocess.run([sys.executable, "-c", program], stderr=theirs, env=environment, check=True)
        theirs.close()
        writes = [*iter(lambda: ours.recv(4096).decode(), "")]
    assert writes == ["adb:one: waits\n", "adb:one: push: done in 0.0 s\n"]


def test_each_of_several_works_has_a_bar_that_says_what_it_does(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    names = ("adb:[::1]:5555", f"local:/{'x' * 90}/device", "adb:R5CN30ABCDE")
    with rows_for_terminal() as rows:
        first, long, last = (rows.row(name) for name in names)
        with first.task("push", total=4) as task:
            task.advance(2, "teacher.pte, 9.52 MB in all")
            first.say("[red]not markup[/red]")
        with long.task("starts", total=4) as task:
            task.advance(1, "round 1/4")
        last.end("failed")
    shown = [line.rstrip() for line in _plain(capsys.readouterr().err).splitlines()]
    bars = shown[-3:]
    assert bars[0].startswith("adb:[::1]:5555 ")
    assert bars[0].endswith(" push, teacher.pte, 9.52 MB in all")
    assert " 50 % " in bars[0]
    assert bars[1].startswith(f"...{'x' * 16}/device ")
    assert bars[1].endswith(" starts, round 1/4")
    assert bars[2].endswith(" failed")
    assert " 0 % " in bars[2]
    assert "adb:[::1]:5555: [red]not markup[/red]" in shown
    assert max(map(len, bars)) <= 100


def _plain(text: str) -> str:
    """What a terminal shows of it."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
