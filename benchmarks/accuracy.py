"""What a recipe is worth: the published one and ours on Fashion-MNIST, with equal compute.

    apt-get install dataset-fashion-mnist
    python -m benchmarks.accuracy         # under an hour on one core; resumes where it stopped

Every arm distils the same teacher of a seed into a fresh student, which begins with the initial
weights of its recipe. Epochs are set so that all arms take about the CPU time of the reference
recipe; what each run took is measured and printed. Runs go round the arms, one thread each. Prints
a table for docs/accuracy.md and keeps every run in docs/accuracy.json. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pipeline.core.atomic_files import write_text
from pipeline.core.fingerprint import machine_kind, versions
from pipeline.core.progress import Progress, progress_for_terminal
from pipeline.data.images import Dataset
from pipeline.data.source import load_dataset
from pipeline.evaluation.predictions import EvaluatedModel
from pipeline.model.checkpoint import load_tensors, save_tensors
from pipeline.model.family import build_model
from pipeline.model.pwl import PwlModel
from pipeline.model.route import Route, prefix_routes
from pipeline.schedule.gain import Gain
from pipeline.settings import (
    IdxData,
    JointDistillation,
    ReferenceDistillation,
    ResNetModel,
    ResNetSettings,
    TeacherSettings,
)
from pipeline.training.conditions import Examples, TrainingRun
from pipeline.training.distill import distill
from pipeline.training.fit import reproducible
from pipeline.training.initial import draw_normal
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
SIDE = 14  # pixels: half the images' own, so that all runs fit in an hour of one core
ROUTES = prefix_routes(4)
#: The last block's swap is the teacher itself; the first one hardly ever pays (see the table).
PAYING = (ROUTES[0], ROUTES[2], ROUTES[3], ROUTES[4])


@dataclass(frozen=True, slots=True)
class Arm:
    """A recipe with its learning rate, the routes that it trains for, its epochs a student."""

    settings: JointDistillation | ReferenceDistillation
    routes: Sequence[Route]
    epochs: dict[str, int]


def _reference(cross: str) -> ReferenceDistillation:
    """The official code's defaults, and their learning rate and batch size by name."""
    common = {"recipe": "reference", "epochs": 1, "batch_size": 128, "learning_rate": 0.05}
    return ReferenceDistillation.model_validate({**common, "cross": cross})


_JOINT = JointDistillation(recipe="joint", epochs=1, batch_size=128, learning_rate=0.05)
#: The rate: of 0.02, 0.05, 0.1 (and 0.2 for joint) the best or near it for each, after one epoch on
#: seed 0, which the table leaves out. The epochs: as many as take the reference recipe's time.
ARMS = {
    "reference": Arm(_reference("random"), ROUTES, {"half": 6, "narrow": 6}),
    "reference, all": Arm(_reference("all"), ROUTES, {"half": 5, "narrow": 6}),
    "joint": Arm(_JOINT, ROUTES, {"half": 10, "narrow": 12}),
    "joint, paying stages": Arm(_JOINT, PAYING, {"half": 13, "narrow": 15}),
}


@dataclass(frozen=True, slots=True)
class Run:
    """One student.

    Attributes:
        arm: of `ARMS`.
        student: of `STUDENTS`.
        seed: of data, weights and batches.
        images: to train with.
        epochs: of the distillation.
        learning_rate: of the distillation.
        cpu_s: processor time of the distillation, the teacher's features included.
        wall_s: time on the clock.
        top1: per prefix route, on the 10,000 test images.
        gains: per prefix route after the first, accuracy above the route before.
        lows: lower ends of the 95 % intervals of these.
    """

    arm: str
    student: str
    seed: int
    images: int
    epochs: int
    learning_rate: float
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
    parser.add_argument("--rates", type=float, nargs="+", help="of every arm, to see what is best")
    parser.add_argument("--images", type=int, default=10000, help="to train with")
    parser.add_argument("--work", type=Path, default=Path("build/accuracy"), help="keeps teachers")
    parser.add_argument("--out", type=Path, default=Path("docs/accuracy.json"))
    options = parser.parse_args()
    runs = _read(options.out)
    done = {_key(run) for run in runs}
    progress = progress_for_terminal()
    options.work.mkdir(parents=True, exist_ok=True)
    for seed in options.seeds:
        planned = [
            _Plan(
                *(name, student, seed, options.images),
                *(options.epochs or ARMS[name].epochs[student], rate),
            )
            for student in options.students
            for name in options.arms
            for rate in options.rates or [ARMS[name].settings.learning_rate]
        ]
        missing = [plan for plan in planned if plan not in done]
        if not missing:
            continue
        data = IdxData(
            **{"source": "idx", "path": options.data, "image_size": SIDE},
            train_images=options.images,
        )
        dataset = load_dataset(data, seed)
        keep = options.work / f"teacher-{seed}-{options.images}.safetensors"
        if not keep.exists():
            save_tensors(keep, _taught(dataset, seed, progress), {})
        teacher, _ = load_tensors(keep)
        for plan in missing:
            runs.append(_distilled(plan, dataset, teacher, progress))
            _write(options.out, runs)
    print(table(runs))


class _Plan(NamedTuple):
    """What one run is to be."""

    arm: str
    student: str
    seed: int
    images: int
    epochs: int
    learning_rate: float


def _key(run: Run) -> _Plan:
    return _Plan(run.arm, run.student, run.seed, run.images, run.epochs, run.learning_rate)


def _model(dataset: Dataset, student: str, seed: int) -> PwlModel:
    tables = ResNetModel(family="resnet", teacher=TEACHER, student=STUDENTS[student])
    return build_model(tables, dataset.image_shape, len(dataset.names), seed)


def _taught(dataset: Dataset, seed: int, progress: Progress) -> Mapping[str, Tensor]:
    """The weights of the trained teacher of a seed, which all its students have."""
    teacher = _model(dataset, "half", seed).teacher
    settings = TeacherSettings(epochs=5, batch_size=128, learning_rate=0.1)
    with reproducible(1), TemporaryDirectory() as folder:
        run = TrainingRun(2 * seed, Path(folder) / "teacher", progress)
        train_teacher(teacher, _examples(dataset), settings, run)
    return teacher.state_dict()


def _examples(dataset: Dataset) -> Examples:
    inputs = dataset.normalization.inputs(dataset.train.images)
    return Examples(inputs, torch.from_numpy(dataset.train.labels))


def _distilled(
    plan: _Plan, dataset: Dataset, teacher: Mapping[str, Tensor], progress: Progress
) -> Run:
    name, student, seed, images, epochs, rate = plan
    arm, model = ARMS[name], _model(dataset, student, seed)
    model.teacher.load_state_dict(teacher)
    if arm.settings.initial_weights == "normal":
        draw_normal(model.student, 2 * seed + 1)
    settings = arm.settings.model_copy(update={"epochs": epochs, "learning_rate": rate})
    progress.say(f"{name}, {student} student, seed {seed}")
    examples = _examples(dataset)
    with reproducible(1), TemporaryDirectory() as folder:
        cpu, wall = time.process_time(), time.perf_counter()
        run = TrainingRun(2 * seed + 1, Path(folder) / "distillation", progress)
        distill(model, examples, arm.routes, settings, run)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        found = EvaluatedModel.of(model, dataset, ROUTES, Path(folder) / "found", progress)
    right = found.predictions == dataset.test.labels
    gains = [Gain.between(here, there) for here, there in pairwise(right)]
    return Run(
        arm=name,
        student=student,
        seed=seed,
        images=images,
        epochs=epochs,
        learning_rate=rate,
        cpu_s=round(cpu, 1),
        wall_s=round(wall, 1),
        top1=tuple(round(float(top1), 4) for top1 in np.mean(right, axis=1)),
        gains=tuple(round(gain.value, 4) for gain in gains),
        lows=tuple(round(gain.low, 4) for gain in gains),
    )


def table(runs: Sequence[Run]) -> str:
    """Mean and standard deviation over seeds, per arm, rate and stage, in per cent."""
    lines: list[str] = []
    for student in dict.fromkeys(run.student for run in runs):
        names = " | ".join(map(str, ROUTES))
        lines += [
            f"**{student} student**",
            "",
            f"| recipe | rate | epochs | seeds | CPU s | {names} |",
        ]
        lines += ["|---|---:|---:|---:|---:|" + "---:|" * len(ROUTES)]
        rows: dict[tuple[str, float, int, int], list[Run]] = {}
        for run in runs:
            if run.student == student:
                kind = (run.arm, run.learning_rate, run.epochs, run.images)
                rows.setdefault(kind, []).append(run)
        for (name, rate, epochs, _), mine in sorted(rows.items()):
            stages = " | ".join(_spread([run.top1[k] for run in mine]) for k in range(len(ROUTES)))
            seconds = statistics.mean(run.cpu_s for run in mine)
            lines.append(f"| {name} | {rate} | {epochs} | {len(mine)} | {seconds:.0f} | {stages} |")
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
