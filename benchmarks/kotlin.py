"""What the Kotlin library costs on top of the C++ runtime, in one process on the JVM here.

    python -m pipeline.build profiles/digits-resnet.toml --out dist/digits-resnet
    python -m benchmarks.kotlin [BUNDLE ...] [--seconds 150] [--out FILE]
    python -m benchmarks.kotlin --parts cycles --seconds 900      # 2,000 openings, if they fit

Ways of doing the same take turns, another one first in each round; --seconds is what a bundle takes
in all, shared out to the parts. Right is: run() takes at most 15 us more than C++ at the first
stage and 1.02 of its time at the last, by an array and by a direct buffer; open() to the first
answer at most 1 ms more; and opening and closing models leaves memory, descriptors and threads as
they are. Medians of rounds with their 95 % intervals, of wall time, which is judged, and of the
process's CPU time, in which Java's compiler and collector are. What the copy of files that lie
askew in an APK costs is told beside that.

Ends with 1 where an interval is beyond its limit, with 5 where it holds the limit (a machine that
is too busy, or too few seconds), with 3 where Java failed. Stopped by Ctrl-C, it says and writes
what it has. A phone's JVM is another: ratios there are open.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pytest
from rich import box
from rich.table import Table

from benchmarks.overhead import Finding, findings
from pipeline.core.atomic_files import write_text
from pipeline.core.children import started
from pipeline.core.progress import Progress, Task, progress_for_terminal
from pipeline.core.stop_signals import stoppable
from pipeline.report.render.terminal import table_console
from pipeline.report.statistics import Estimate
from pipeline.toolchain.engines import Engines
from tests.android.toolchain import PLACE, build_for_jvm, kotlin, library_path, native_library
from tests.fixtures import ROOT

HERE = Path(__file__).parent / "jvm"
#: Of the seconds of a bundle, what each part gets.
SHARES = {
    "first-stage": 0.15,
    "last-stage": 0.25,
    "start": 0.3,
    "archive-start": 0.05,
    "archive-climb": 0.05,
    "cycles": 0.2,
}
#: Interpreted: the JVM's compiler takes megabytes of the same heap for a method now and then, which
#: malloc keeps; native memory tracking calls them arena chunks.
INTERPRETED = ("cycles",)

EXCEEDED, JAVA_FAILED, OPEN = 1, 3, 5


@dataclass(slots=True)
class Samples:
    """What the JVM printed for a bundle, part by part.

    Attributes:
        rounds: of each part: nanoseconds of wall and of CPU time, way by way; of cycles what each
            line says.
        calls: inferences of one way in a round.
        ended: why there is no more, if that is not as it should be.
    """

    rounds: dict[str, list[list[int]]] = field(default_factory=dict)
    calls: dict[str, int] = field(default_factory=dict)
    ended: str = ""

    def take(self, line: str) -> str:
        """Keeps a line, and gives the part that it belongs to."""
        kind, *words = line.split()
        if kind == "part":
            self.rounds[words[0]] = []
        part = list(self.rounds)[-1]
        if kind == "calls":
            self.calls[part] = int(words[0])
        elif kind in ("round", "cycle"):
            self.rounds[part].append(list(map(int, words)))
        return part


def main() -> None:
    """Measures every bundle, prints what was found, and says whether all held."""
    options = _arguments()
    progress = progress_for_terminal()
    found: dict[str, Samples] = {}
    try:
        with stoppable(), built(progress) as run:
            for bundle in options.bundles:
                samples = found[str(bundle)] = Samples()
                measure(run, bundle, options, progress, samples)
    except pytest.skip.Exception as missing:
        sys.exit(f"error: {missing.msg}")
    except KeyboardInterrupt:
        for samples in found.values():
            samples.ended = samples.ended or "stopped"
        sys.exit(130 if conclude(found, options.out) != EXCEEDED else EXCEEDED)
    sys.exit(conclude(found, options.out))


def conclude(found: dict[str, Samples], out: Path) -> int:
    """Prints and writes what was measured; gives the exit status."""
    verdicts, record = set(), {}
    for bundle, samples in found.items():
        numbers = list(findings(samples.rounds))
        print_table(bundle, numbers)
        if samples.ended:
            print(f"{bundle}: not all was measured: {samples.ended}", file=sys.stderr)
        verdicts |= {number.verdict for number in numbers}
        record[bundle] = {
            "findings": [asdict(number) | {"verdict": number.verdict} for number in numbers],
            **asdict(samples),
        }
    machine = {"machine": platform.machine(), "processors": os.cpu_count(), "bundles": record}
    out.parent.mkdir(parents=True, exist_ok=True)
    write_text(out, json.dumps(machine, indent=1) + "\n")
    print(f"every round: {out}")
    if "exceeded" in verdicts:
        return EXCEEDED
    if any(samples.ended for samples in found.values()):
        return JAVA_FAILED
    return OPEN if "open" in verdicts else 0


Run = Callable[[Sequence[str | Path | int]], list[str]]


@contextmanager
def built(progress: Progress) -> Iterator[Run]:
    """Compiles both halves; yields what makes the command of a JVM of options and arguments."""
    with progress.task("compile", total=3) as task:
        task.advance(0, "C++")
        native = native_library(ROOT / "build" / "jni-release", "Release")
        task.advance(1, "C++ without Kotlin")
        direct = build_for_jvm(HERE, ROOT / "build" / "jni-direct", "-DCMAKE_BUILD_TYPE=Release")
        task.advance(1, "Kotlin")
        compiler = kotlin()
        with library_path(compiler) as classes:
            jar = compiler.compile(
                sorted(HERE.glob("*.kt")), PLACE / "bench.jar", needs=str(PLACE / "pwl.jar")
            )
            task.advance(1, "")

            def command(words: Sequence[str | Path | int]) -> list[str]:
                places = (f"-Djava.library.path={native}:{direct}", "-cp", f"{classes}:{jar}")
                options = ("-Xms64m", "-Xmx64m", "-XX:+AlwaysPreTouch")
                # The number of a descriptor.
                opened = ("--add-opens", "java.base/java.io=ALL-UNNAMED")
                main_class = "dev.pwl.bench.OverheadKt"
                front = [word for word in words if str(word).startswith("-")]
                rest = words[len(front) :]
                return ["java", *map(str, (*front, *options, *opened, *places, main_class, *rest))]

            yield command


def measure(
    command: Run, bundle: Path, options: argparse.Namespace, progress: Progress, samples: Samples
) -> None:
    """Runs the parts that are wanted, and keeps what they print as it comes."""
    total = sum(SHARES[part] for part in options.parts)
    budgets = {part: options.seconds * SHARES[part] / total for part in options.parts}
    library = Engines.installed().opened["litert"]
    compiled = [part for part in budgets if part not in INTERPRETED]
    with (
        tempfile.TemporaryDirectory(prefix="pwl-kotlin-") as temporary,
        progress.task(bundle.name, total=sum(budgets.values())) as task,
    ):
        for parts, how in ((compiled, ()), ([p for p in budgets if p in INTERPRETED], ("-Xint",))):
            if not parts:
                continue
            front = (*how, f"-Djava.io.tmpdir={temporary}")
            wanted = [f"{part}={budgets[part]:.1f}" for part in parts]
            words = command([*front, bundle.resolve(), library, options.cycles, *wanted])
            samples.ended = follow(words, budgets, task, samples)
            if samples.ended:
                return


def follow(words: list[str], budgets: dict[str, float], task: Task, samples: Samples) -> str:
    """Takes lines as they come; gives why they ended too early, if they did."""
    # One arena: others grow without a leak.
    environment = {**os.environ, "MALLOC_ARENA_MAX": "1"}
    with (
        tempfile.TemporaryFile("w+") as errors,
        started(
            words, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment
        ) as process,
    ):
        shown, begun, told = "", time.monotonic(), 0.0
        for line in process.stdout or ():
            part = samples.take(line)
            if part != shown:
                # What a part did not use, or used beyond its share, is no news any more.
                task.advance(budgets.get(shown, 0.0) - told, part)
                shown, begun, told = part, time.monotonic(), 0.0
            done = min(time.monotonic() - begun, budgets[part])
            task.advance(done - told, f"{part}, {len(samples.rounds[part])} rounds")
            told = done
        task.advance(budgets.get(shown, 0.0) - told)
        process.wait()
        errors.seek(0)
        said = errors.read().strip()
    return f"Java ended with {process.returncode}: {said[:500]}" if process.returncode else ""


def print_table(bundle: str, numbers: list[Finding]) -> None:
    """Medians with their intervals."""
    table = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 0, 0, 1),
        title=bundle,
        title_justify="left",
    )
    table.add_column("", no_wrap=True)
    for name, width in (("wall", 0), ("CPU", 0), ("limit", 5), ("", 8)):
        table.add_column(name, justify="right", no_wrap=True, min_width=width)
    for number in numbers:
        limit = "" if number.limit is None else f"{number.limit:g}"
        table.add_row(number.what, shown(number.wall), shown(number.cpu), limit, number.verdict)
    table_console().print(table)


def shown(value: Estimate | None) -> str:
    """A median with its interval, where it has one."""
    if value is None:
        return ""
    words = f"{value.median:.3g}"
    return words if value.low == value.high else f"{words} [{value.low:.3g}, {value.high:.3g}]"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundles", nargs="*", type=Path, default=[Path("dist/digits-resnet")])
    parser.add_argument("--seconds", type=float, default=150)
    parser.add_argument("--cycles", type=int, default=2000, help="at most")
    parser.add_argument("--parts", nargs="+", choices=SHARES, default=list(SHARES))
    parser.add_argument("--out", type=Path, default=Path("reports/kotlin.json"))
    options = parser.parse_args()
    for bundle in options.bundles:
        if not (bundle / "loading.plan").is_file():
            parser.error(f"{bundle} is no bundle: pipeline.build makes one (see above)")
    if options.seconds <= 0 or options.cycles < 1:
        parser.error("--seconds and --cycles are more than 0")
    return options


if __name__ == "__main__":
    main()
