"""What a recipe is worth: the published one and ours on Fashion-MNIST, with equal compute.

    apt-get install dataset-fashion-mnist
    python benchmarks/accuracy.py            # about an hour on one core; resumes where it stopped

Every arm distils the same teacher of a seed into the same fresh student. Epochs are set so that all
arms take about the CPU time of the reference recipe; what each run took is measured and printed.
Runs go round the arms, one thread each. Prints a table for docs/accuracy.md and keeps every run in
docs/accuracy.json. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from pipeline.files import write_text
from pipeline.fingerprint import machine_kind, versions
from pipeline.model.family import build_model
from pipeline.model.pwl import PwlModel
from pipeline.model.route import Route, prefix_routes
from pipeline.progress import Progress, progress_for_terminal
from pipeline.schedule.gain import Gain
from pipeline.settings import (
    IdxData,
    JointDistillation,
    ReferenceDistillation,
    ResNetModel,
    ResNetSettings,
    TeacherSettings,
)
from pipeline.training.data.images import Dataset
from pipeline.training.data.source import load_dataset
from pipeline.training.distill import distill
from pipeline.training.evaluate import EvaluatedModel
from pipeline.training.fit import reproducible
from pipeline.training.teacher import train_teacher

TEACHER = ResNetSettings(
    stem=16, stem_stride=2, widths=(16, 32, 48, 64), depths=(2, 2, 2, 2), strides=(1, 2, 1, 2)
)
STUDENTS = {
    "half": ResNetSettings(
        stem=8, stem_stride=2, widths=(8, 16, 24, 32), depths=(1, 1, 1, 1), strides=(1, 2, 1, 2)
    ),
    "narrow": ResNetSettings(
        stem=4, stem_stride=2, widths=(2, 3, 4, 6), depths=(1, 1, 1, 1), strides=(1, 2, 1, 2)
    ),
}
ROUTES = prefix_routes(4)
#: The last block's swap is the teacher itself; the first one hardly ever pays (see the table).
PAYING = (ROUTES[0], ROUTES[2], ROUTES[3], ROUTES[4])


@dataclass(frozen=True, slots=True)
class Arm:
    """A recipe, the routes that it trains for, and its epochs for each student."""

    settings: JointDistillation | ReferenceDistillation
    routes: Sequence[Route]
    epochs: dict[str, int]


def _reference(cross: str) -> ReferenceDistillation:
    common = {"recipe": "reference", "epochs": 1, "batch_size": 128, "learning_rate": 0.05}
    return ReferenceDistillation.model_validate({**common, "cross": cross})


_JOINT = JointDistillation(recipe="joint", epochs=1, batch_size=128, learning_rate=0.05)
#: The rate: of 0.02, 0.05, 0.1 (and 0.2 for joint) the best or near it for each, after one epoch on
#: seed 0, which the table leaves out. The epochs: as many as take the reference recipe's time.
ARMS = {
    "reference": Arm(_reference("random"), ROUTES, {"half": 6, "narrow": 6}),
    "reference, all": Arm(_reference("all"), ROUTES, {"half": 6, "narrow": 7}),
    "joint": Arm(_JOINT, ROUTES, {"half": 11, "narrow": 14}),
    "joint, paying stages": Arm(_JOINT, PAYING, {"half": 13, "narrow": 15}),
}


@dataclass(frozen=True, slots=True)
class Run:
    """One student.

    Attributes:
        arm: of `ARMS`.
        student: of `STUDENTS`.
        seed: of data, weights and batches.
        epochs: of the distillation.
        cpu_s: processor time of the distillation, the teacher's features included.
        wall_s: time on the clock.
        top1: per prefix route, on the 10,000 test images.
        gains: per prefix route after the first, accuracy above the route before.
        lows: lower ends of the 95 % intervals of these.
    """

    arm: str
    student: str
    seed: int
    epochs: int
    cpu_s: float
    wall_s: float
    top1: tuple[float, ...]
    gains: tuple[float, ...]
    lows: tuple[float, ...]


def main() -> None:
    """Runs what is not there yet and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("/usr/share/datasets/fashion-mnist"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--students", nargs="+", choices=STUDENTS, default=list(STUDENTS))
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--epochs", type=int, help="of every arm, to see what an epoch takes")
    parser.add_argument("--out", type=Path, default=Path("docs/accuracy.json"))
    options = parser.parse_args()
    runs = _read(options.out)
    done = {(run.arm, run.student, run.seed, run.epochs) for run in runs}

    def epochs(name: str, student: str) -> int:
        return options.epochs or ARMS[name].epochs[student]

    progress = progress_for_terminal()
    for seed in options.seeds:
        for student in options.students:
            missing = [
                name
                for name in options.arms
                if (name, student, seed, epochs(name, student)) not in done
            ]
            if not missing:
                continue
            dataset, model = _taught(options.data, seed, student, progress)
            for name in missing:
                count = epochs(name, student)
                runs.append(_distilled(name, student, seed, count, dataset, model, progress))
                _write(options.out, runs)
    print(table(runs))


def _taught(data: Path, seed: int, student: str, progress: Progress) -> tuple[Dataset, PwlModel]:
    """The data of a seed, and its trained teacher beside a fresh student."""
    dataset = load_dataset(IdxData(source="idx", path=data, train_images=20000), seed)
    tables = ResNetModel(family="resnet", teacher=TEACHER, student=STUDENTS[student])
    model = build_model(tables, dataset.image_shape, len(dataset.names), seed)
    settings = TeacherSettings(epochs=5, batch_size=128, learning_rate=0.1)
    with reproducible(1), TemporaryDirectory() as folder:
        train_teacher(
            model.teacher,
            dataset.normalisation.inputs(dataset.train.images),
            torch.from_numpy(dataset.train.labels),
            settings,
            seed=2 * seed,
            checkpoint=Path(folder) / "teacher",
            progress=progress,
        )
    return dataset, model


def _distilled(
    name: str,
    student: str,
    seed: int,
    epochs: int,
    dataset: Dataset,
    taught: PwlModel,
    progress: Progress,
) -> Run:
    arm, model = ARMS[name], deepcopy(taught)
    progress.say(f"{name}, {student} student, seed {seed}")
    inputs = dataset.normalisation.inputs(dataset.train.images)
    labels = torch.from_numpy(dataset.train.labels)
    with reproducible(1), TemporaryDirectory() as folder:
        cpu, wall = time.process_time(), time.perf_counter()
        distill(
            model,
            inputs,
            labels,
            arm.routes,
            arm.settings.model_copy(update={"epochs": epochs}),
            feature_cache_mb=4096,
            seed=2 * seed + 1,
            checkpoint=Path(folder) / "distillation",
            progress=progress,
        )
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        found = EvaluatedModel.of(model, dataset, ROUTES, Path(folder) / "found", progress)
    right = found.predictions == dataset.test.labels
    gains = [Gain.between(here, there) for here, there in pairwise(right)]
    return Run(
        arm=name,
        student=student,
        seed=seed,
        epochs=epochs,
        cpu_s=round(cpu, 1),
        wall_s=round(wall, 1),
        top1=tuple(round(float(top1), 4) for top1 in np.mean(right, axis=1)),
        gains=tuple(round(gain.value, 4) for gain in gains),
        lows=tuple(round(gain.low, 4) for gain in gains),
    )


def table(runs: Sequence[Run]) -> str:
    """Mean and standard deviation over seeds, per arm and stage, in per cent."""
    lines: list[str] = []
    for student in dict.fromkeys(run.student for run in runs):
        names = " | ".join(map(str, ROUTES))
        lines += [f"**{student} student**", "", f"| recipe | epochs | CPU s | {names} |"]
        lines += ["|---|---:|---:|" + "---:|" * len(ROUTES)]
        for name in ARMS:
            mine = [run for run in runs if (run.arm, run.student) == (name, student)]
            if mine:
                stages = " | ".join(_spread([run.top1[k] for run in mine]) for k in range(5))
                seconds = statistics.mean(run.cpu_s for run in mine)
                lines.append(f"| {name} | {mine[0].epochs} | {seconds:.0f} | {stages} |")
        lines.append("")
    return "\n".join(lines)


def _spread(shares: Sequence[float]) -> str:
    spread = f" ± {100 * statistics.stdev(shares):.1f}" if len(shares) > 1 else ""
    return f"{100 * statistics.mean(shares):.1f}{spread}"


def _read(path: Path) -> list[Run]:
    if not path.exists():
        return []
    kept = json.loads(path.read_text(encoding="utf-8"))["runs"]
    return [
        Run(**{key: tuple(v) if isinstance(v, list) else v for key, v in run.items()})
        for run in kept
    ]


def _write(path: Path, runs: Sequence[Run]) -> None:
    context = {
        "machine": machine_kind(),
        "cores": os.cpu_count(),
        "versions": versions("torch", "numpy"),
    }
    kept = {"context": context, "runs": [asdict(run) for run in runs]}
    write_text(path, json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    main()
