"""How the time of lowering falls from one worker of a cluster to two.

    python -m benchmarks.cluster [--minutes 3.5] [--backend NAME] [--markdown [docs/cluster.md]]

The units of the demo's networks, untrained and in float32, are lowered on a local Dask cluster of
one or two workers of one thread, in turns, each time from an empty program cache: once by workers
that were just started, and so have PyTorch and an exporter to import, and once more by the same
ones. Rounds go on as long as another one fits into the minutes; at least one is run. CPU time is
that of the workers' processes, and of this one, which captures units, runs the scheduler and keeps
programs. On a quiet machine only: beside other work, that is measured, too.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from benchmarks.size_tables import digits, put_into_page, table
from pipeline.core.cluster import Cluster
from pipeline.core.progress import Silent
from pipeline.core.toml_file import load_toml
from pipeline.core.work import Work
from pipeline.settings import BackendName, Settings, for_backend

PROFILE = Path("profiles/digits-resnet.toml")
CLASSES = 10
WORKERS = (1, 2)
STATES = {"new": "workers that were just started", "again": "the same workers once more"}


@dataclass(frozen=True, slots=True)
class ClusterRun:
    """All units lowered once.

    Attributes:
        workers: how many there were.
        state: a key of `STATES`.
        units: how many were lowered.
        wall, workers_cpu, here_cpu: seconds.
    """

    workers: int
    state: str
    units: int
    wall: float
    workers_cpu: float
    here_cpu: float


def lowering_of(backend: BackendName) -> Callable[[Path, Cluster], int]:
    """A function that lowers the demo's units into a program cache, and says how many those are."""
    import torch
    from torch import nn

    from pipeline.lowering.capture import capture
    from pipeline.lowering.golden import GoldenSet
    from pipeline.lowering.lower import lower_units
    from pipeline.lowering.untrained import randomized, untrained_images
    from pipeline.model.family import build_model
    from pipeline.model.route import Route
    from pipeline.settings import DigitsData, PrecisionSettings, ResNetModel
    from pipeline.workflows.lowering_targets import target_of

    settings = for_backend(load_toml(PROFILE, Settings), backend)
    lowering = settings.lowering.model_copy(update={"precision": PrecisionSettings()})
    settings = settings.model_copy(update={"lowering": lowering})
    assert isinstance(settings.model, ResNetModel)
    assert isinstance(settings.data, DigitsData)
    shape = (1, settings.data.image_size, settings.data.image_size)
    model = randomized(build_model(settings.model, shape, CLASSES, settings.seed))
    routes = [Route.prefix(model.blocks, blocks) for blocks in range(model.blocks + 1)]
    tolerance = settings.lowering.tolerance
    golden = GoldenSet.of(model, routes, untrained_images(shape), tolerance)
    target = target_of(settings)
    # What capturing imports here is no part of any round.
    capture(nn.Linear(2, 2).eval(), torch.zeros(1, 2), "warm-up")

    def lower(cache: Path, cluster: Cluster) -> int:
        return len(lower_units(model, golden, target, Work(cache, Silent(), cluster)))

    return lower


@contextmanager
def local_cluster(workers: int) -> Iterator[Cluster]:
    """A scheduler in this process, and workers of one thread in processes of their own."""
    from distributed import LocalCluster

    started = LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        processes=True,
        dashboard_address=None,
        silence_logs=logging.ERROR,
    )
    with started:
        yield Cluster(started.scheduler_address.removeprefix("tcp://"))


def measured(lower: Callable[[Path, Cluster], int], workers: int) -> list[ClusterRun]:
    """Lowers all units in each state."""
    runs = []
    with local_cluster(workers) as cluster:
        for state in STATES:
            with tempfile.TemporaryDirectory() as cache:
                begin, here, theirs = time.monotonic(), time.process_time(), _workers_cpu()
                units = lower(Path(cache), cluster)
                wall, spent = time.monotonic() - begin, _workers_cpu() - theirs
                here = time.process_time() - here
                runs.append(ClusterRun(workers, state, units, wall, spent, here))
    return runs


def _workers_cpu() -> float:
    """CPU seconds of all processes that were started from here and are alive."""
    import psutil

    times = [child.cpu_times() for child in psutil.Process().children(recursive=True)]
    return float(sum(one.user + one.system for one in times))


def rounds(lower: Callable[[Path, Cluster], int], minutes: float) -> list[ClusterRun]:
    """Both numbers of workers in turns, the first one changing, as long as a round still fits."""
    runs: list[ClusterRun] = []
    begin = time.monotonic()
    longest, number = 0.0, 0
    while number == 0 or time.monotonic() - begin + longest < 60 * minutes:
        before = time.monotonic()
        for workers in WORKERS if number % 2 == 0 else WORKERS[::-1]:
            for run in measured(lower, workers):
                runs.append(run)
                print(
                    f"round {number + 1}, {workers} worker(s), {run.state:5}: {run.units} units in "
                    f"{run.wall:.1f} s, CPU {run.workers_cpu:.1f} s there, {run.here_cpu:.1f} here",
                    flush=True,
                )
        longest, number = max(longest, time.monotonic() - before), number + 1
    return runs


def markdown(runs: list[ClusterRun], backend: str, machine: str, date: str) -> str:
    """The table of docs/cluster.md, with what was measured and where."""
    count = len(runs) // (len(WORKERS) * len(STATES))
    of = "1 round" if count == 1 else f"medians of {count} rounds"
    heads = (
        f"{runs[0].units} units of the demo, {backend}; {of}",
        "1 worker",
        "2 workers",
        "1 / 2",
    )
    rows = []
    for state, words in STATES.items():
        for name, what in (("wall", ""), ("workers_cpu", "theirs"), ("here_cpu", "here")):
            one, two = (
                median(
                    getattr(run, name)
                    for run in runs
                    if run.state == state and run.workers == workers
                )
                for workers in WORKERS
            )
            title = f"{words}, seconds" if name == "wall" else f"CPU seconds, {what}"
            rows.append((title, digits(one), digits(two), digits(one / two if two else 0.0)))
    command = "`python -m benchmarks.cluster`"
    return f"{table(heads, rows)}\n\nMeasured {date} by {command} on {machine}.\n"


def machine_here() -> str:
    """The processor of this machine, with how many cores and threads of it there are."""
    import psutil

    text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    names = [line.partition(":")[2].strip() for line in text.splitlines() if "model name" in line]
    cores, threads = psutil.cpu_count(logical=False), psutil.cpu_count()
    return f"{names[0] if names else 'a processor'}, {threads} threads on {cores} core(s)"


def main() -> None:
    """Measures, prints, and puts the table into the page."""
    parser = argparse.ArgumentParser(
        prog="benchmarks.cluster", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--minutes", type=float, default=3.5)
    parser.add_argument("--backend", choices=("executorch", "litert"), default="executorch")
    page = "docs/cluster.md"
    parser.add_argument("--markdown", nargs="?", const=page, metavar="PAGE", help="put it there")
    options = parser.parse_args()
    runs = rounds(lowering_of(options.backend), options.minutes)
    date = datetime.now(UTC).strftime("%Y-%m-%d")
    text = markdown(runs, options.backend, machine_here(), date)
    print(text)
    if options.markdown:
        put_into_page("cluster", Path(options.markdown), text)


if __name__ == "__main__":
    main()
