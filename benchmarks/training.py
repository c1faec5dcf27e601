"""What an epoch of distillation at 224 pixels takes, with memory as it is kept today and before.

    python -m benchmarks.training [--images 2000] [--rounds 1] [--threads 1]

The MobileNetV2 of benchmarks/models and its student, random images, one epoch of the recipe
`joint`. Each run is a process of its own, both ways in turns. `before` gives freed memory back to
the system at once, writes NaN over all new memory, and looks at 256 images together, whatever their
size; `kept` is what training does. A round of 2,000 images takes about 6 minutes of a processor,
one of --images 320 a minute.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import subprocess
import sys
import tempfile
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from statistics import median

#: What the CPU time of `kept` may be of that of `before`.
BAR = 0.75
WAYS = ("before", "kept")


@dataclass(frozen=True, slots=True)
class EpochCost:
    """What one epoch took, in one process.

    Attributes:
        user, system: CPU time in seconds.
        faults: page faults that read nothing from a disk.
        peak_gb: memory of the process at its highest.
        result: sha256 of the trained weights.
    """

    user: float
    system: float
    faults: int
    peak_gb: float
    result: str

    @property
    def cpu(self) -> float:
        return self.user + self.system


def distilled_once(way: str, images: int, threads: int) -> EpochCost:
    """Trains for one epoch, in this process."""
    import numpy as np
    import torch

    from benchmarks.models.networks import CLASSES, mobilenet_v2
    from pipeline.core.progress import Silent
    from pipeline.data import batches
    from pipeline.data.normalization import Normalization
    from pipeline.ingest.python import OwnModel
    from pipeline.model.pwl import PwlModel
    from pipeline.model.route import prefix_routes
    from pipeline.settings import JointDistillation
    from pipeline.training import fit
    from pipeline.training.conditions import Examples, TrainingRun
    from pipeline.training.distill import distill

    if way == "before":
        for today in ("keeping_freed_memory", "unfilled_memory"):
            setattr(fit, today, nullcontext)
        batches._VALUES = sys.maxsize
    torch.manual_seed(0)
    own: OwnModel = mobilenet_v2()
    model = PwlModel(own.teacher, own.student, own.encoders, own.decoders)
    drawn = np.random.default_rng(0)
    pixels = drawn.integers(0, 256, (images, 224, 224, 3), dtype=np.uint8)
    labels = torch.from_numpy(drawn.integers(0, CLASSES, images))
    rule = Normalization((0.5,) * 3, (0.25,) * 3)
    settings = JointDistillation(
        recipe="joint", epochs=1, batch_size=32, learning_rate=0.01, gradient_norm=1.0
    )
    with tempfile.TemporaryDirectory() as folder, fit.reproducible(threads):
        run = TrainingRun(0, Path(folder) / "partial", Silent())
        examples = Examples(rule.inputs(pixels), labels)
        routes = prefix_routes(model.blocks)
        begin = resource.getrusage(resource.RUSAGE_SELF)
        distill(model, examples, routes, settings, run)
        end = resource.getrusage(resource.RUSAGE_SELF)
    digest = hashlib.sha256()
    for _, tensor in sorted(model.state_dict().items()):
        digest.update(tensor.contiguous().numpy().tobytes())
    return EpochCost(
        end.ru_utime - begin.ru_utime,
        end.ru_stime - begin.ru_stime,
        end.ru_minflt - begin.ru_minflt,
        end.ru_maxrss / 1e6,
        digest.hexdigest(),
    )


def run_of(way: str, images: int, threads: int) -> EpochCost:
    """The same in a process of its own."""
    words = ["--way", way, "--images", str(images), "--threads", str(threads)]
    command = [sys.executable, "-m", "benchmarks.training", *words]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return EpochCost(**json.loads(said))


def print_costs(costs: dict[str, list[EpochCost]], images: int) -> None:
    """The medians of each way, their ratio beside the bar, and whether the results are the same."""
    print(f"\nan epoch of {images} images, medians of {min(map(len, costs.values()))}")
    print("| way | CPU s | user | system | page faults | GB |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for way, runs in costs.items():
        times = (median(getattr(run, key) for run in runs) for key in ("cpu", "user", "system"))
        faults, peak = (median(getattr(run, key) for run in runs) for key in ("faults", "peak_gb"))
        print(f"| {way} | {' | '.join(f'{t:.1f}' for t in times)} | {faults:,.0f} | {peak:.2f} |")
    ratios = [kept.cpu / before.cpu for before, kept in zip(*costs.values(), strict=True)]
    each = " ".join(f"{ratio:.2f}" for ratio in ratios)
    verdict = "cleared" if median(ratios) <= BAR else "MISSED"
    print(f"CPU time kept / before: {median(ratios):.2f} (rounds: {each}); bar {BAR}: {verdict}")
    results = {run.result for run in chain(*costs.values())}
    print(f"weights: {'the same bits' if len(results) == 1 else 'DIFFERENT'}, {min(results)[:16]}")


def main() -> None:
    """Measures both ways in turns; with --way, one of them once, told as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--way", choices=WAYS)
    given = parser.parse_args()
    if given.way is not None:
        print(json.dumps(asdict(distilled_once(given.way, given.images, given.threads))))
        return
    costs: dict[str, list[EpochCost]] = {way: [] for way in WAYS}
    for number in range(given.rounds):
        for way in WAYS:
            cost = run_of(way, given.images, given.threads)
            costs[way].append(cost)
            took = f"{cost.cpu:.1f} s of CPU time, {cost.faults:,} page faults"
            print(f"round {number + 1}, {way}: {took}", flush=True)
    print_costs(costs, given.images)


if __name__ == "__main__":
    main()
