"""Bundles of the sizes that people ship, built by the product's own command and kept."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from pipeline.core.atomic_files import write_text
from pipeline.core.errors import UsageError
from pipeline.settings import BACKENDS, BackendName

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class Size:
    """A teacher with its student.

    Attributes:
        function: in benchmarks/models/networks.py.
        title: for tables.
        shape: height, width and channels of its images.
        classes: how many labels they have.
        rounds: in which it is measured, unless others are asked for.
    """

    function: str
    title: str
    shape: tuple[int, int, int] = (224, 224, 3)
    classes: int = 1000
    rounds: int = 5


SIZES = {
    "demo": Size("demo", "demo", (32, 32, 1), 10),
    "mobilenet-v2": Size("mobilenet_v2", "MobileNetV2"),
    "paper-vgg": Size("paper_vgg", "paper's VGG", (32, 32, 3), 10),
    "paper-vit": Size("paper_vit", "paper's ViT", classes=10),
    "resnet-50": Size("resnet50", "ResNet-50"),
    "vit-b16": Size("vit_b16", "ViT-B/16", rounds=3),
}

#: Random weights have no accuracy: every stage ships, and int8 has to compute something like it.
_PROFILE = """\
name = "{name}"

[data]
source = "npz"
path = "{name}.npz"
mean = {mean}
std = {std}

[model]
source = "python:benchmarks/models/networks.py:{function}"

[schedule]
stages = "all"

[lowering.precision]
plan = "S8->T32"
calibration_images = 8
least_sqnr_db = 6
least_agreement = 0

[bundle]
golden_images = 2

[[arm]]
name = "student8"
route = "student"
precision = "int8"

[[arm]]
name = "teacher8"
route = "teacher"
precision = "int8"
"""
_IMAGES = 8


@dataclass(frozen=True, slots=True)
class BuildCost:
    """What building a bundle took.

    Attributes:
        seconds: wall time, networks and images included.
        cpu_seconds: of all processors, by all processes.
        peak_mb: memory of the build with its workers at its highest, each shared page once.
    """

    seconds: float
    cpu_seconds: float
    peak_mb: float


@dataclass(frozen=True, slots=True)
class SizeBundle:
    """A bundle that is there.

    Attributes:
        name: a key of `SIZES`.
        backend: of its programs.
        folder: where it lies.
        cost: what the build took that made its programs.
    """

    name: str
    backend: BackendName
    folder: Path
    cost: BuildCost

    @property
    def title(self) -> str:
        """Its row in tables."""
        return SIZES[self.name].title


def built(name: str, backend: BackendName, work: Path, again: bool = True) -> SizeBundle:
    """The bundle of a size, built into `work` unless it is there and up to date.

    Args:
        name: a key of `SIZES`.
        backend: of its programs.
        work: where it is kept.
        again: whether one that is there is looked at: the networks are made anew for it.

    Raises:
        UsageError: the build failed; it has said why.
    """
    work.mkdir(parents=True, exist_ok=True)
    profile = profile_with_images(name, work)
    folder, record = work / f"{name}-{backend}", work / f"{name}-{backend}.build.json"
    if not again and folder.exists() and record.exists():
        return SizeBundle(name, backend, folder, _cost(record))
    # A cache of its own: what one backend's build evaluated would be spared in the other's.
    command = [sys.executable, "-m", "pipeline.build", str(profile), "--backend", backend]
    command += ["--out", str(folder), "--cache", str(work / f"cache-{backend}")]
    cold = not folder.exists() or not record.exists()
    cost = _measured(command)
    if cold:
        write_text(record, json.dumps(asdict(cost)))
    return SizeBundle(name, backend, folder, _cost(record))


def _cost(record: Path) -> BuildCost:
    return BuildCost(**json.loads(record.read_text(encoding="utf-8")))


def backends_named(text: str | None) -> tuple[BackendName, ...]:
    """One backend, or all of them."""
    return tuple(name for name in BACKENDS if text in (None, name))


def profile_with_images(name: str, work: Path) -> Path:
    """Profile and images of a size; written anew only where they differ."""
    size, path = SIZES[name], work / f"{name}.toml"
    channels = size.shape[-1]
    text = _PROFILE.format(
        name=name, function=size.function, mean=[0.5] * channels, std=[0.25] * channels
    )
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
    images = work / f"{name}.npz"
    if not images.exists() or _shape_in(images) != size.shape:
        random = np.random.default_rng(0)
        pixels = random.integers(0, 256, (2 * _IMAGES, *size.shape), dtype=np.uint8)
        labels = random.integers(0, size.classes, 2 * _IMAGES)
        labels[0] = size.classes - 1
        train, test = slice(None, _IMAGES), slice(_IMAGES, None)
        np.savez(
            images,
            **{"x_train": pixels[train], "y_train": labels[train]},
            **{"x_test": pixels[test], "y_test": labels[test]},
        )
    return path


def _shape_in(images: Path) -> tuple[int, ...]:
    """Of the images that were kept: a size may have had others once."""
    with np.load(images) as arrays:
        return tuple(arrays["x_train"].shape[1:])


def _measured(command: list[str]) -> BuildCost:
    """Runs a build; memory is looked at several times a second."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    before, begin = os.times(), time.monotonic()
    peak = 0.0
    with subprocess.Popen(command, cwd=ROOT, env=environment) as process:
        while process.poll() is None:
            peak = max(peak, sum(map(_proportional_mb, _family(process.pid))))
            time.sleep(0.3)
    if process.returncode:
        raise UsageError(
            f"{' '.join(command)} ended with status {process.returncode}", "see what it said"
        )
    after = os.times()
    cpu = sum(
        getattr(after, each) - getattr(before, each)
        for each in ("children_user", "children_system")
    )
    return BuildCost(round(time.monotonic() - begin, 1), round(cpu, 1), round(peak, 1))


def _family(pid: int) -> Iterator[int]:
    """A process and all that it started."""
    yield pid
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = file.read_text().split()
        except OSError:
            continue
        for child in children:
            yield from _family(int(child))


def _proportional_mb(pid: int) -> float:
    """Resident memory of a process, what it shares with others divided among them."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0.0
    return next(
        (int(line.split()[1]) * 1024 / 1e6 for line in text.splitlines() if line[:4] == "Pss:"), 0.0
    )
