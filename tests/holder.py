"""A process that holds a lock until its input ends, for tests of two runs at once."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]

_PROGRAM = """
import sys
from pathlib import Path
from pipeline.device.connect import connect
from pipeline.core.locks import replacing_place, using_folder, writing_folder
from pipeline.core.progress import Silent
kind, place = sys.argv[1:]
if kind == "device":
    device = connect(place)
    lock = device.lock()
elif kind == "cache":
    lock = using_folder(Path(place), "", Silent())
elif kind == "folder":
    lock = writing_folder(Path(place), "")
else:
    lock = replacing_place(Path(place), "")
with lock:
    print("held", flush=True)
    sys.stdin.read()
"""


@contextlib.contextmanager
def holder(kind: str, place: Path | str) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the lock on a ``cache``, ``folder``, ``replaced`` or ``device``."""
    with subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, kind, str(place)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.communicate()
