"""How long the commands keep one waiting: --help of each, and a build with nothing to do.

python -m benchmarks.commands [PROFILE]
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from statistics import median

RUNS = 7


def seconds(*command: str) -> float:
    """Wall time of one run of a module."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-m", *command], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begin


def main() -> None:
    """Prints the median of some runs of each command, beside its bar."""
    profile = sys.argv[1] if len(sys.argv) > 1 else "profiles/digits-resnet.toml"
    seconds("pipeline.build", profile)  # from here on there is nothing left to build
    rows = [
        (f"pipeline.{name} --help", 0.5, (f"pipeline.{name}", "--help"))
        for name in ("build", "inspect", "profile", "check")
    ]
    rows.append(
        (f"pipeline.build {Path(profile).name}, unchanged", 2.0, ("pipeline.build", profile))
    )
    for title, bar, command in rows:
        taken = [seconds(*command) for _ in range(RUNS)]
        print(f"{title:52} median {median(taken):.2f} s  max {max(taken):.2f} s  bar {bar} s")


if __name__ == "__main__":
    main()
