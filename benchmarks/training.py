"""What an epoch of distillation at 224 pixels takes, as it is done today and before.

    python -m benchmarks.training [--images 2000] [--rounds 1] [--threads 1]

The MobileNetV2 of benchmarks/models and its student, random images, one epoch of the recipe
`joint`. Each run is a process of its own, both ways in turns. `before` gives freed memory back to
the system at once, writes NaN over all new memory, looks at 256 images together, whatever their
size, and leaves gradients in the layout that torch gives them; `kept` is what training does. A
round of 2,000 images takes about 5 minutes of a processor, one of --images 320 less than one.

The results are the same but for the order of sums in the gradients of batch normalizations. A
second line tells what the two came to: mean losses of the epoch, accuracies along the routes, and
by how much the trained weights differ, as a share of how far training has moved them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

#: What the CPU time of `kept` may be of that of `before`.
BAR = 0.75
WAYS = ("before", "kept")
#: What the mean losses of the two may differ by, of their size.
LOSS_ROOM = 1e-3


@dataclass(frozen=True, slots=True)
class EpochCost:
    """What one epoch took, in one process.

    Attributes:
        user, system: CPU time in seconds.
        faults: page faults that read nothing from a disk.
        peak_gb: memory of the process at its highest.
        result: sha256 of the trained weights.
        numbers: mean losses of the epoch, and accuracies after it.
    """

    user: float
    system: float
    faults: int
    peak_gb: float
    result: str
    numbers: dict[str, float]

    @property
    def cpu(self) -> float:
        return self.user + self.system


class LastNumbers:
    """A log that keeps what was written last."""

    def __init__(self) -> None:
        self.found: dict[str, float] = {}

    @contextmanager
    def phase(self, name: str, first: int) -> Iterator[LastNumbers]:
        yield self

    def write(self, numbers: Mapping[str, float], step: int) -> None:
        self.found = dict(numbers)


def distilled_once(way: str, images: int, threads: int, keep: Path) -> EpochCost:
    """Trains for one epoch, in this process; weights before and after it go to a file."""
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
    from pipeline.training import distill as distillation
    from pipeline.training import fit
    from pipeline.training.conditions import Conditions, Examples, TrainingRun
    from pipeline.training.distill import distill

    if way == "before":
        for today in ("keeping_freed_memory", "unfilled_memory"):
            setattr(fit, today, nullcontext)
        setattr(distillation, "matching_gradients", nullcontext)  # noqa: B010 - not exported
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
    begun = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    log = LastNumbers()
    with fit.reproducible(threads):
        run = TrainingRun(0, keep.with_suffix(".partial"), Silent(), Conditions(training_log=log))
        examples = Examples(rule.inputs(pixels), labels)
        routes = prefix_routes(model.blocks)
        begin = resource.getrusage(resource.RUSAGE_SELF)
        distill(model, examples, routes, settings, run)
        end = resource.getrusage(resource.RUSAGE_SELF)
    digest = hashlib.sha256()
    for _, tensor in sorted(model.state_dict().items()):
        digest.update(tensor.contiguous().numpy().tobytes())
    torch.save((begun, model.state_dict()), keep)
    return EpochCost(
        end.ru_utime - begin.ru_utime,
        end.ru_stime - begin.ru_stime,
        end.ru_minflt - begin.ru_minflt,
        end.ru_maxrss / 1e6,
        digest.hexdigest(),
        log.found,
    )


def run_of(way: str, images: int, threads: int, keep: Path) -> EpochCost:
    """The same in a process of its own."""
    words = ["--way", way, "--images", str(images), "--threads", str(threads), "--keep", str(keep)]
    command = [sys.executable, "-m", "benchmarks.training", *words]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return EpochCost(**json.loads(said))


def print_costs(costs: dict[str, list[EpochCost]], images: int) -> None:
    """The medians of each way, and their ratio beside the bar."""
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


def print_results(costs: dict[str, list[EpochCost]], files: Mapping[str, Path]) -> None:
    """What both ways came to, and by how much that differs."""
    for way, runs in costs.items():
        repeats = len({run.result for run in runs})
        same = f", {repeats} different results in {len(runs)} runs" if repeats > 1 else ""
        numbers = " ".join(f"{name} {value:.6g}" for name, value in runs[-1].numbers.items())
        print(f"{way}: {numbers}; weights {runs[-1].result[:16]}{same}")
    one, other = (runs[-1] for runs in costs.values())
    if one.result == other.result:
        print("results: the same bits")
        return
    losses = [name for name in one.numbers if name.startswith("loss/")]
    apart = max(abs(one.numbers[n] - other.numbers[n]) / abs(one.numbers[n]) for n in losses)
    verdict = "the same within" if apart <= LOSS_ROOM else "MORE THAN"
    print(
        f"results: losses differ by {apart:.1e} of their size ({verdict} {LOSS_ROOM}), weights by "
        f"{weights_apart(*files.values()):.1e} of how far they were moved"
    )


def weights_apart(one: Path, other: Path) -> float:
    """The distance of two results, as a share of that from where both began."""
    import torch

    begun, first = torch.load(one, weights_only=True)
    _, second = torch.load(other, weights_only=True)

    def distance(left: Mapping[str, Tensor], right: Mapping[str, Tensor]) -> float:
        squares = [(left[n].double() - right[n].double()).square().sum() for n in left]
        return float(torch.stack(squares).sum().sqrt())

    return distance(first, second) / distance(first, begun)


def measure_both(given: argparse.Namespace, files: Mapping[str, Path]) -> None:
    """Both ways in turns, as the command line has it."""
    costs: dict[str, list[EpochCost]] = {way: [] for way in WAYS}
    for number in range(given.rounds):
        for way in WAYS:
            cost = run_of(way, given.images, given.threads, files[way])
            costs[way].append(cost)
            took = f"{cost.cpu:.1f} s of CPU time, {cost.faults:,} page faults"
            print(f"round {number + 1}, {way}: {took}", flush=True)
    print_costs(costs, given.images)
    print_results(costs, files)


def main() -> None:
    """Measures both ways in turns; with --way, one of them once, told as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--way", choices=WAYS)
    parser.add_argument("--keep", type=Path, help="with --way: a file for the weights")
    given = parser.parse_args()
    if given.way is not None:
        cost = distilled_once(given.way, given.images, given.threads, given.keep)
        print(json.dumps(asdict(cost)))
        return
    with tempfile.TemporaryDirectory() as folder:
        measure_both(given, {way: Path(folder) / way for way in WAYS})


if __name__ == "__main__":
    main()
