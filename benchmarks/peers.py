"""The same networks in other libraries and here: load, first inference, steady, memory.

    python -m benchmarks.peers [--only NAME ...] [--rounds 5] [--work build/sizes]
    python -m benchmarks.peers --markdown [docs/peers.md]

The networks of benchmarks/sizes.py, whose bundles are built first where they are not there, in ONNX
Runtime (a model optimized before, in its own format) and MNN (a converted model): their wheels, as
pinned in peers.txt, go into an environment of their own. One thread, warm page cache, a new process
for each start, all of them in turns. Every sample is kept below --out.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sysconfig
import venv
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.size_bundles import ROOT, SIZES, SizeBundle, backends_named, built
from benchmarks.size_tables import digits, put_into_page, table
from pipeline.core.atomic_files import write_text
from pipeline.core.errors import UsageError
from pipeline.core.progress import Progress, progress_for_terminal
from pipeline.device.connect import connect
from pipeline.harness.deploy import deploy
from pipeline.harness.session import HarnessSession
from pipeline.workflows.measure_device import ProfileOptions, open_payload, package_for

_PINNED = Path(__file__).with_name("peers.txt")
_INFERENCES = 5
#: Libraries, and how files of their models end.
_PEERS = {"onnxruntime": ".ort", "mnn": ".mnn"}
#: What an app would ship of ours, then what it would ship instead.
_ARMS = ("pwl", "teacher", "teacher8")
_TITLES = {
    "executorch": "ExecuTorch",
    "litert": "LiteRT",
    "onnxruntime": "ONNX Runtime",
    "mnn": "MNN",
    "pwl": "PWL",
    "teacher8": "int8 teacher",
}
#: Larger deviations from PyTorch are no answers.
_TOLERANCE = 1e-3

#: Load, first and steady inference in ms, memory in MB, and how far off, where that is asked.
Sample = dict[str, float]
#: Takes one sample in a new process.
Start = Callable[[], Sample]


@dataclass(frozen=True, slots=True)
class Contender:
    """A network in a library.

    Attributes:
        size: a key of `SIZES`.
        library: what runs it.
        program: ``pwl``, ``student``, ``teacher`` or ``teacher8``.
        start: one start of it.
    """

    size: str
    library: str
    program: str
    start: Start

    @property
    def key(self) -> str:
        """Its name in peers.json."""
        return f"{self.size} {self.library} {self.program}"


def main() -> None:
    """Builds, measures, keeps, prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--only", nargs="+", choices=SIZES, default=["mobilenet-v2", "resnet-50", "vit-b16"]
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--work", type=Path, default=Path("build/sizes"), help="bundles, models")
    parser.add_argument("--out", type=Path, default=Path("reports/peers.json"))
    parser.add_argument("--build", action="store_true", help="build, and measure nothing")
    parser.add_argument("--as-built", action="store_true", help="look at no bundle that is there")
    parser.add_argument("--markdown", nargs="?", const="-", metavar="PAGE", help="see above")
    options = parser.parse_args()
    if options.markdown is None:
        measure(options, progress_for_terminal())
    if options.build:
        return
    text = markdown(json.loads(options.out.read_text(encoding="utf-8")))
    if options.markdown not in (None, "-"):
        put_into_page("peers", Path(options.markdown), text)
        return
    print(text)


def measure(options: argparse.Namespace, progress: Progress) -> None:
    """Takes all samples in turns and keeps them."""
    work = options.work.resolve()
    python = environment(work / "peers-environment")
    pairs = [(name, backend) for name in options.only for backend in backends_named(None)]
    bundles = [built(name, backend, work, not options.as_built) for name, backend in pairs]
    models = {name: exported(name, python, work / "peers" / name) for name in options.only}
    if options.build:
        return
    created, load = datetime.now(UTC), os.getloadavg()[0]
    with our_sessions(bundles, progress) as ours:
        contenders = [*ours, *peers(models, python)]
        found: dict[str, list[Sample]] = {each.key: [] for each in contenders}
        with progress.task("starts", total=options.rounds + 1) as task:
            for number in range(-1, options.rounds):  # the first round warms caches
                for each in random.Random(number).sample(contenders, len(contenders)):
                    sample = each.start()
                    if number >= 0:
                        found[each.key].append(sample)
                task.advance(1)
    kept = {"created": created.isoformat(timespec="minutes"), "load": load, "samples": found}
    write_text(options.out, json.dumps(kept, indent=1) + "\n")


def environment(folder: Path) -> Path:
    """The interpreter of an environment with the peers' wheels, which sees what is here, too."""
    python, stamp = folder / "bin" / "python", folder / "installed"
    wanted = _PINNED.read_text(encoding="utf-8")
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != wanted:
        venv.create(folder, clear=True, with_pip=True)
        command = [str(python), "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
        subprocess.run([*command, "-r", str(_PINNED)], check=True)
        stamp.write_text(wanted, encoding="utf-8")
    # Each time: an environment that was kept may have been made from another one than this.
    packages, here = next(folder.glob("lib/python*/site-packages")), sysconfig.get_path("purelib")
    (packages / "here.pth").write_text(f"import site; site.addsitedir({here!r})\n")
    return python


def exported(name: str, python: Path, folder: Path) -> Path:
    """The folder of a network's models, made unless it is there."""
    if not (folder / "student.mnn").exists():
        script = Path(__file__).with_name("peer_export.py")
        command = [str(python), str(script), SIZES[name].function, str(folder)]
        folder.parent.mkdir(parents=True, exist_ok=True)
        with (folder.parent / f"{name}.log").open("wb") as log:
            subprocess.run(
                command,
                env=os.environ | {"PYTHONPATH": str(ROOT)},
                check=True,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
    return folder


def peers(models: dict[str, Path], python: Path) -> Iterator[Contender]:
    """Teacher and student of every network in every other library."""
    script = Path(__file__).with_name("peer_run.py")
    for size, folder in models.items():
        for library, suffix in _PEERS.items():
            for program in ("teacher", "student"):
                files = [folder / f"{program}{suffix}", folder / "image.npy"]
                files.append(folder / f"{program}.npy")
                command = [str(python), str(script), library, *map(str, files), str(_INFERENCES)]
                yield Contender(size, library, program, _starting(command))


def _starting(command: Sequence[str]) -> Start:
    def start() -> Sample:
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        sample: Sample = json.loads(done.stdout.splitlines()[-1])
        if not sample["deviation"] <= _TOLERANCE:
            raise UsageError(f"{' '.join(command)} answers something else", "see its converter")
        return sample

    return start


@contextmanager
def our_sessions(bundles: Sequence[SizeBundle], progress: Progress) -> Iterator[list[Contender]]:
    """Our bundles, deployed to this machine, each with what an app would ship instead."""
    payloads = [open_payload(bundle.folder, None) for bundle in bundles]
    with connect("local") as device, device.lock():
        package = package_for(device.properties(), ProfileOptions(device="local"), progress)
        installation = deploy(device, package, payloads, progress)
        sessions = [HarnessSession(device, each) for each in installation.deployments]
        yield [
            Contender(bundle.name, bundle.backend, arm, _ours(session, arm))
            for bundle, session in zip(bundles, sessions, strict=True)
            for arm in (*_ARMS, "student")
        ]


def _ours(session: HarnessSession, arm: str) -> Start:
    def start() -> Sample:
        sample = session.ttfi(arm, "warm", _INFERENCES)
        return {
            "load_ms": (sample.ttfi_ns - sample.run0_ns) / 1e6,
            "first_ms": sample.run0_ns / 1e6,
            "steady_ms": median(sample.steady_ns) / 1e6,
            "memory_mb": sample.peak_rss_kb * 1024 / 1e6,
        }

    return start


def markdown(kept: dict[str, Any]) -> str:
    """A table of medians; a row for each network, library and program."""
    rounds = sorted({len(samples) for samples in kept["samples"].values()})
    when = (
        f"{kept['created']}, {'/'.join(map(str, rounds))} rounds, load before {kept['load']:.1f}."
    )

    def rows() -> Iterator[list[str]]:
        for key, samples in sorted(kept["samples"].items(), key=_order):
            size, library, program = key.split()
            answers = [sample["load_ms"] + sample["first_ms"] for sample in samples]
            numbers = [
                median(answers),
                min(answers),
                max(answers),
                *(median(s[name] for s in samples) for name in _COLUMNS),
            ]
            who = f"{SIZES[size].title}, {_TITLES[library]}"
            yield [who, _TITLES.get(program, program), *map(digits, numbers)]

    heads = ["", "", "first answer, ms", "least", "most", "load", "run", "steady", "MB"]
    return f"{when}\n\n{table(heads, rows())}\n"


_COLUMNS = ("load_ms", "first_ms", "steady_ms", "memory_mb")


def _order(item: tuple[str, list[Sample]]) -> tuple[int, int, int]:
    size, library, program = item[0].split()
    libraries = ["executorch", "litert", *_PEERS]
    programs = [*_ARMS, "student"]
    return list(SIZES).index(size), programs.index(program), libraries.index(library)


if __name__ == "__main__":
    main()
