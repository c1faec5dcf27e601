"""What the Kotlin library costs on top of the C++ runtime, in one process on the JVM here.

    python -m pipeline.build profiles/digits-resnet.toml --out dist/digits-resnet
    python -m benchmarks.kotlin [BUNDLE ...] [--rounds 30] [--cycles 2000] [--out FILE]

Ways of doing the same take turns, another one first in each round. Right is: run() takes at most
15 us more than C++ at the first stage and 1.02 of its time at the last, by an array and by a direct
buffer; open() to the first answer at most 1 ms more; and opening and closing models leaves memory,
descriptors and threads as they are. Medians of rounds, with their 95 % intervals. What the copy of
files that lie askew in an APK costs is told beside that.

Ends with 1 where an interval is beyond its limit, with 5 where it holds the limit: on a machine
that is too busy, or with too few rounds. A phone's JVM is another: ratios there are open.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from pipeline.core.atomic_files import write_text
from pipeline.report.statistics import Estimate
from pipeline.toolchain.engines import Engines
from tests.android.toolchain import PLACE, build_for_jvm, class_path, kotlin, native_library
from tests.fixtures import ROOT

HERE = Path(__file__).parent / "jvm"
#: By how much each may grow. Two threads of the JVM come and go.
_GROWTH = {"KB allocated": 1.05, "KB resident": 1.02, "descriptors": 1.0, "threads": 1.1}
Lines = dict[str, list[list[int]]]


@dataclass(frozen=True, slots=True)
class Finding:
    """A number of a bundle.

    Args:
        what: it is.
        value: with its interval.
        limit: what it may be; None: nothing is asked of it.
    """

    what: str
    value: Estimate
    limit: float | None = None

    @property
    def verdict(self) -> str:
        if self.limit is None:
            return ""
        if self.value.low > self.limit:
            return "exceeded"
        return "holds" if self.value.high <= self.limit else "open"

    def __str__(self) -> str:
        value = f"{self.value.median:.4g}"
        if self.value.low < self.value.high:
            value += f" [{self.value.low:.4g}, {self.value.high:.4g}]"
        limit = "" if self.limit is None else f", at most {self.limit:g}: {self.verdict}"
        return f"{self.what}: {value}{limit}"


def main() -> None:
    """Measures every bundle, prints what was found, and says whether all held."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundles", nargs="*", type=Path, default=[Path("dist/digits-resnet")])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--cycles", type=int, default=2000)
    parser.add_argument("--out", type=Path, default=Path("reports/kotlin.json"))
    options = parser.parse_args()
    verdicts, record = set(), {}
    for bundle in options.bundles:
        lines = measure(bundle, options.rounds, options.cycles)
        print(f"{bundle}:")
        found = list(findings(lines))
        for finding in found:
            print(f"  {finding}")
        verdicts |= {finding.verdict for finding in found}
        record[str(bundle)] = {
            "findings": [asdict(finding) | {"verdict": finding.verdict} for finding in found],
            "lines": lines,
        }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    machine = {"machine": platform.machine(), "cores": os.cpu_count(), "bundles": record}
    write_text(options.out, json.dumps(machine, indent=1) + "\n")
    print(f"every round: {options.out}")
    sys.exit(1 if "exceeded" in verdicts else 5 if "open" in verdicts else 0)


def measure(bundle: Path, rounds: int, cycles: int) -> Lines:
    """The numbers of each line that Overhead.kt prints, by the line's first word."""
    compiler = kotlin()
    native = native_library(ROOT / "build" / "jni-release", "Release")
    direct = build_for_jvm(HERE, ROOT / "build" / "jni-direct", "-DCMAKE_BUILD_TYPE=Release")
    with class_path(compiler) as classes:
        jar = compiler.compile(
            sorted(HERE.glob("*.kt")), PLACE / "bench.jar", needs=str(PLACE / "pwl.jar")
        )
        options = (
            *("-Xms64m", "-Xmx64m", "-XX:+AlwaysPreTouch"),
            *("--add-opens", "java.base/java.io=ALL-UNNAMED"),  # the number of a descriptor
        )
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


def findings(lines: Lines) -> Iterator[Finding]:
    """What the rounds come to."""
    calls = lines.get("call", [])
    for stage in sorted({line[0] for line in calls}):
        rows = [line[1:] for line in calls if line[0] == stage]
        yield Finding(f"stage {stage}, us in C++", of(row[0] / 1e3 for row in rows))
        for way, name in ((1, "array"), (2, "direct buffer")):
            more = of((row[way] - row[0]) / 1e3 for row in rows)
            ratio = of(row[way] / row[0] for row in rows)
            first = stage == 0
            yield Finding(f"stage {stage}, us more by {name}", more, 15 if first else None)
            yield Finding(f"stage {stage}, by {name} over C++", ratio, None if first else 1.02)
    if starts := lines.get("start"):
        yield Finding("first answer, ms in C++", of(line[0] / 1e6 for line in starts))
        more = of((line[1] - line[0]) / 1e6 for line in starts)
        yield Finding("first answer, ms more in Kotlin", more, 1)
    for kind, name in (("archive-first", "first answer"), ("archive-last", "last stage")):
        if rows := lines.get(kind):
            yield Finding(f"{name} of mapped files, ms", of(row[0] / 1e6 for row in rows))
            yield Finding(
                f"{name}, ms more of copied ones", of((row[1] - row[0]) / 1e6 for row in rows)
            )
    yield from left_behind(lines.get("cycle", []))


def of(values: Iterator[float]) -> Estimate:
    return Estimate.of(list(values))


def left_behind(cycles: list[list[int]]) -> Iterator[Finding]:
    """What models that were closed leave: the last fifth of all samples against the second."""
    fifth = len(cycles) // 5
    if not fifth:
        return
    before, after = (
        list(zip(*part, strict=True)) for part in (cycles[fifth : 2 * fifth], cycles[-fifth:])
    )
    for place, (what, growth) in enumerate(_GROWTH.items(), start=1):
        early = median(before[place])
        grown = median(after[place]) / early
        # Not an interval: each sample is what all cycles before have left.
        value = Estimate(grown, grown, grown, fifth)
        yield Finding(
            f"{what} after {cycles[-1][0]} cycles over {early:.0f} after {cycles[fifth][0]}",
            value,
            growth,
        )


if __name__ == "__main__":
    main()
