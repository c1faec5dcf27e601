"""What caches keep is named by versions of its producers: none changes its results unnoticed.

Every producer makes something small, which is compared with what its version made when it was
recorded in golden/producers.json. Where results differ, and are meant to, raise the version in
pipeline/core/producers.py and record them anew:

    PWL_RECORD_PRODUCERS=1 python -m pytest tests/test_producers.py

Floats are compared with room for other processors; programs and images to the byte.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from pipeline.bundle.layout import control_folder
from pipeline.bundle.verify import Bundle, open_controls
from pipeline.core import producers
from pipeline.core.progress import Silent
from pipeline.data.source import load_dataset
from pipeline.evaluation.predictions import EvaluatedModel
from pipeline.ingest.reference.reference_model import read_reference
from pipeline.lowering.backend import Backend
from pipeline.lowering.capture import capture
from pipeline.lowering.precision import Quantization
from pipeline.lowering.registry import backend_for
from pipeline.model.route import Route
from pipeline.settings import BACKENDS, FolderData, Settings, for_backend
from pipeline.workflows.lowering_targets import target_of
from pipeline.workflows.schedule_model import scheduled_model
from tests.fixtures import TINY_PROFILE, settings_from
from tests.ingest.test_reference import images, pair

RECORD = Path(__file__).parent / "golden" / "producers.json"
NAMES = [name for name in vars(producers) if name.isupper()]
#: Weights and shares that two kinds of processors come to differ by less.
ROOM = 5e-3

Result = dict[str, Any]


@pytest.fixture
def compare() -> Callable[..., None]:
    def compare(name: str, result: Result, part: str = "") -> None:
        """Holds what a producer made, or one part of it, against what was recorded."""
        version = getattr(producers, name)
        kept = json.loads(RECORD.read_text()) if RECORD.exists() else {}
        place = f"{name} {part}".rstrip()
        if os.environ.get("PWL_RECORD_PRODUCERS"):
            kept[place] = {"version": version, "result": result}
            RECORD.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")
        assert kept[place]["version"] == version, f"{name} was raised: record its results (see top)"
        assert close(result, kept[place]["result"]), f"{name} gives another result: raise it"

    return compare


def close(found: Any, kept: Any) -> bool:
    """Whether both are the same, but for small differences between floats."""
    if isinstance(found, dict):
        return found.keys() == kept.keys() and all(close(found[k], kept[k]) for k in found)
    if isinstance(found, list):
        return len(found) == len(kept) and all(map(close, found, kept))
    if isinstance(found, float):
        return abs(found - kept) <= ROOM * max(0.05, abs(kept))
    return bool(found == kept)


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_every_version_is_held_by_a_result() -> None:
    assert sorted({place.split()[0] for place in json.loads(RECORD.read_text())}) == sorted(NAMES)


def test_data(tiny_settings: Settings, tmp_path: Path, compare: Callable[..., None]) -> None:
    write_images(tmp_path)
    found = load_dataset(tiny_settings.data, tiny_settings.seed, held_out=50)
    assert found.held_out is not None
    sets = {"train": found.train, "test": found.test, "held out": found.held_out}
    images = {
        name: digest(each.images.tobytes() + bytes(each.labels)) for name, each in sets.items()
    }
    decoded = load_dataset(FolderData(source="images", path=tmp_path, image_size=8), seed=0)
    images["decoded"] = digest(decoded.train.images.tobytes())
    compare("DATA", images | {"normalization": str(found.normalization)})


def write_images(folder: Path) -> None:
    """Two classes of PNG files of other sizes and modes, one of them transparent, one turned."""
    for number, mode in enumerate(["RGB", "RGBA", "L", "P"]):
        sides, random = (9 + number, 12), np.random.default_rng(number)
        shape = sides if mode in ("L", "P") else (*sides, len(mode))
        pixels = random.integers(0, 256, shape, dtype=np.uint8)
        image = Image.fromarray(pixels) if mode != "P" else Image.fromarray(pixels).convert("P")
        exif = image.getexif()
        exif[0x0112] = 6  # its orientation
        for part in ("train", "test"):
            path = folder / part / "ab"[number % 2] / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            image.save(path, exif=exif if mode == "RGB" else None)


@pytest.mark.parametrize("family", ["resnet", "vgg", "vit"])
def test_ingest(family: str, tmp_path: Path, compare: Callable[..., None]) -> None:
    made = pair(family, narrow=True)
    model = read_reference(str(made.save(tmp_path / "checkpoint-7")), Silent()).model
    routes = ["".join(letters) for letters in ("T" * model.blocks, "TS" * model.blocks)]
    with torch.no_grad():
        logits = [
            model(images(family), Route.parse(route[: model.blocks]))[0].tolist()
            for route in routes
        ]
    compare("INGEST", {"logits": logits}, family)


#: The recipe and the steps that the tiny profile leaves out.
REFERENCE = {
    'recipe = "joint"\nepochs = 3': 'recipe = "reference"\nepochs = 1',
    "[training.teacher]\nepochs = 3": (
        "[training.augmentation]\ncrop = 1\nflip = true\nrotation = 5\n\n"
        '[training.teacher]\nepochs = 1\nschedule = "cosine"'
    ),
}


def test_training(tiny_model: EvaluatedModel, compare: Callable[..., None]) -> None:
    compare("TRAINING", sizes(tiny_model.model), "joint")


def test_training_by_the_published_recipe(tmp_path: Path, compare: Callable[..., None]) -> None:
    text = TINY_PROFILE
    for before, after in REFERENCE.items():
        assert before in text
        text = text.replace(before, after)
    trained = scheduled_model(settings_from(text, tmp_path), tmp_path / "cache", Silent())
    compare("TRAINING", sizes(trained.evaluated.model), "reference")


def sizes(model: nn.Module) -> Result:
    """The root mean square of each tensor."""
    state: dict[str, Tensor] = model.state_dict()
    return {name: float(each.double().pow(2).mean().sqrt()) for name, each in state.items()}


def test_evaluation(tiny_model: EvaluatedModel, compare: Callable[..., None]) -> None:
    found = zip(tiny_model.routes, tiny_model.accuracy, tiny_model.class_scores, strict=True)
    compare("EVALUATION", {str(r): [a.top1, a.low, s.balanced] for r, a, s in found})


class Unit(nn.Module):
    """A bit of everything that lowering changes, with weights that need no random numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(2, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Linear(4, 3)
        for tensor in self.state_dict().values():
            if tensor.is_floating_point():
                values = torch.arange(tensor.numel()).remainder(7).sub(2.5).div(8)
                tensor.copy_(values.abs().add(0.5).view_as(tensor))

    def forward(self, images: Tensor) -> Tensor:
        features = nn.functional.gelu(self.norm(self.convolution(images)), approximate="tanh")
        logits: Tensor = self.head(features.mean((2, 3)))
        return logits


def exporting(settings: Settings) -> Iterator[tuple[Backend, str]]:
    """Every backend, and its exporter with the version."""
    for name in BACKENDS:
        mine = for_backend(settings, name)
        (exporter, version), *_ = target_of(mine).exporters.items()
        yield backend_for(mine.lowering), f"{exporter} {version}"


def test_lowering(tiny_settings: Settings, compare: Callable[..., None]) -> None:
    example = torch.linspace(-1, 1, 2 * 6 * 6).view(1, 2, 6, 6)
    captured = capture(Unit().eval(), example, "unit", {})
    found: Result = {}
    for backend, exporter in exporting(tiny_settings):
        program = backend.lower(captured, example, "unit")
        found[exporter] = {
            "operators": dict(program.operators),
            "logits": backend.run([program.data], example)[0].tolist(),
            "bytes": len(program.data),
        }
    compare("LOWERING", found)


def test_quantization(tiny_settings: Settings, compare: Callable[..., None]) -> None:
    """Without logits: other processors may round int8 otherwise."""
    # On LiteRT, the convolution has too few weights for so many pixels.
    example = torch.linspace(-1, 1, 2 * 24 * 24).view(1, 2, 24, 24)
    captured = capture(Unit().eval(), example, "unit", {})
    found: Result = {}
    for backend, exporter in exporting(tiny_settings):
        for recipe in backend.spec.recipes:
            quantization = Quantization(recipe, example)
            program = backend.lower(captured, example, "unit", quantization)
            found[f"{exporter} {recipe}"] = {
                "operators": dict(program.operators),
                "bytes": len(program.data),
            }
    compare("QUANTIZATION", found)


def test_schedule(built_bundle: Bundle, compare: Callable[..., None]) -> None:
    steps = built_bundle.manifest.schedule.steps
    said = [
        [step.route, step.shipped, step.cost, re.sub(r"[\d.]+", "#", step.why)] for step in steps
    ]
    compare("SCHEDULE", {"steps": said, "order": built_bundle.manifest.schedule.order})


def test_bundle(built_bundle: Bundle, compare: Callable[..., None]) -> None:
    manifest = built_bundle.manifest
    controls = open_controls(control_folder(built_bundle.root), manifest)
    head, beside = manifest.model_dump(mode="json"), controls.model_dump(mode="json")
    del head["provenance"]
    compare("BUNDLE", {"manifest": shape(head), "control": shape(beside)})


def shape(value: Any) -> Any:
    """What a document is made of, without what training, lowering and evaluation put into it."""
    if isinstance(value, dict):
        return {
            key: "#" if key in ("operators", "sha256", "id", "bundle", "why") else shape(each)
            for key, each in value.items()
        }
    if isinstance(value, list):
        return [shape(each) for each in value]
    return "#" if isinstance(value, int | float) and not isinstance(value, bool) else value
