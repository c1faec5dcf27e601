"""What the Kotlin library costs on top of the C++ runtime, in one process on the JVM here.

    python -m pipeline.build profiles/digits-resnet.toml --out dist/digits-resnet
    python -m benchmarks.kotlin [BUNDLE ...] [--rounds 30] [--cycles 2000]

Inferences and starts by Kotlin and by C++ take turns. Right is: run() takes at most 15 us more than
C++ at the first stage and 1.02 of its time at the last, open() to the first answer at most 1 ms
more, and opening and closing models leaves memory, descriptors and threads as they are. Ends with
1 otherwise. A phone's JVM is another: ratios there are open.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path
from statistics import median

from pipeline.toolchain.engines import Engines
from tests.android.toolchain import PLACE, build_for_jvm, class_path, kotlin, native_library
from tests.fixtures import ROOT

HERE = Path(__file__).parent / "jvm"
#: By how much each may grow. Two threads of the JVM come and go.
_GROWTH = {"KB allocated": 1.05, "KB resident": 1.02, "descriptors": 1.0, "threads": 1.1}
Lines = dict[str, list[list[int]]]


def main() -> None:
    """Measures every bundle, prints what was found, and says whether all held."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundles", nargs="*", type=Path, default=[Path("dist/digits-resnet")])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--cycles", type=int, default=2000)
    options = parser.parse_args()
    wrong: list[str] = []
    for bundle in options.bundles:
        found = measure(bundle, options.rounds, options.cycles)
        print(f"{bundle}:")
        wrong += [f"{bundle}: {fault}" for fault in report(found)]
    for line in wrong:
        print(line, file=sys.stderr)
    sys.exit(1 if wrong else 0)


def measure(bundle: Path, rounds: int, cycles: int) -> Lines:
    """The numbers of each line that Overhead.kt prints, by the line's first word."""
    compiler = kotlin()
    native = native_library(ROOT / "build" / "jni-release", "Release")
    direct = build_for_jvm(HERE, ROOT / "build" / "jni-direct", "-DCMAKE_BUILD_TYPE=Release")
    with class_path(compiler) as classes:
        jar = compiler.compile(
            sorted(HERE.glob("*.kt")), PLACE / "bench.jar", needs=str(PLACE / "pwl.jar")
        )
        options = ("-Xms64m", "-Xmx64m", "-XX:+AlwaysPreTouch")
        places = (f"-Djava.library.path={native}:{direct}", "-cp", f"{classes}:{jar}")
        program = ("dev.pwl.bench.OverheadKt", bundle, Engines.installed().opened["litert"])
        lines = _lines(*options, *places, *program, rounds, 0)
        # Interpreted: the JVM's compiler takes megabytes of the same heap for a method now and
        # then, which malloc keeps; native memory tracking calls them arena chunks.
        lines += _lines("-Xint", *options, *places, *program, 0, cycles)
    found: Lines = {}
    for kind, *numbers in (line.split() for line in lines):
        found.setdefault(kind, []).append([int(number) for number in numbers])
    return found


def _lines(*arguments: str | Path | int) -> list[str]:
    """What a program on a JVM prints whose malloc has one arena."""
    environment = {**os.environ, "MALLOC_ARENA_MAX": "1"}
    command = ["java", *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    return done.stdout.splitlines()


def report(found: Lines) -> list[str]:
    """Prints medians; what is not as it should be, a sentence each."""
    wrong = []
    for stage in sorted({line[0] for line in found["call"]}):
        rows = [line[1:] for line in found["call"] if line[0] == stage]
        native, array, direct = (median(row[i] for row in rows) / 1000 for i in range(3))
        print(
            f"  stage {stage}: C++ {native:.1f} us, array {array:.1f}, direct buffer {direct:.1f}"
        )
        ratio = median(row[1] / row[0] for row in rows)
        more = median(row[1] - row[0] for row in rows) / 1000
        print(f"    by array {more:+.1f} us, {ratio:.3f} of C++")
        if more > 15 if stage == 0 else ratio > 1.02:
            wrong.append(f"stage {stage}: run() takes {more:.1f} us more than C++, {ratio:.3f}")
    native, ours = (median(line[i] for line in found["start"]) / 1e6 for i in range(2))
    more = median(line[1] - line[0] for line in found["start"]) / 1e6
    print(f"  first answer: C++ {native:.2f} ms, Kotlin {ours:.2f}, {more:+.2f}")
    if more > 1:
        wrong.append(f"open() to the first answer takes {more:.2f} ms more than C++")
    return [*wrong, *left_behind(found.get("cycle", []))]


def left_behind(cycles: list[list[int]]) -> list[str]:
    """What models that were closed leave: the last fifth of all samples against the second."""
    fifth = len(cycles) // 5
    if not fifth:
        return []
    before, after = (
        list(zip(*part, strict=True)) for part in (cycles[fifth : 2 * fifth], cycles[-fifth:])
    )
    wrong = []
    for place, (what, growth) in enumerate(_GROWTH.items(), start=1):
        early, late = median(before[place]), median(after[place])
        print(f"  {what}: {early:.0f}, after {cycles[-1][0]} cycles {late:.0f}")
        if late > growth * early:
            wrong.append(f"{what}: {early:.0f} became {late:.0f} with models that were closed")
    return wrong


if __name__ == "__main__":
    main()
