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
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pipeline.bundle.layout import control_folder
from pipeline.bundle.verify import Bundle, open_controls
from pipeline.core import producers
from pipeline.data.source import load_dataset
from pipeline.evaluation.predictions import EvaluatedModel
from pipeline.lowering.capture import capture
from pipeline.lowering.precision import Quantization
from pipeline.lowering.registry import backend_for
from pipeline.settings import BACKENDS, Settings, for_backend
from pipeline.workflows.lowering_targets import target_of

RECORD = Path(__file__).parent / "golden" / "producers.json"
NAMES = [name for name in vars(producers) if name.isupper()]
#: Weights and shares that two kinds of processors come to differ by less.
ROOM = 5e-3

Result = dict[str, Any]


@pytest.fixture
def compare() -> Callable[[str, Result], None]:
    def compare(name: str, result: Result) -> None:
        version = getattr(producers, name)
        kept = json.loads(RECORD.read_text()) if RECORD.exists() else {}
        if os.environ.get("PWL_RECORD_PRODUCERS"):
            kept[name] = {"version": version, "result": result}
            RECORD.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")
        assert kept[name]["version"] == version, f"{name} was raised: record its results (see top)"
        assert close(result, kept[name]["result"]), f"{name} gives another result: raise it"

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
    assert sorted(json.loads(RECORD.read_text())) == sorted(NAMES)


def test_data(tiny_settings: Settings, compare: Callable[[str, Result], None]) -> None:
    found = load_dataset(tiny_settings.data, tiny_settings.seed, held_out=50)
    assert found.held_out is not None
    sets = {"train": found.train, "test": found.test, "held out": found.held_out}
    images = {
        name: digest(each.images.tobytes() + bytes(each.labels)) for name, each in sets.items()
    }
    compare("DATA", images | {"normalization": str(found.normalization)})


def test_training(tiny_model: EvaluatedModel, compare: Callable[[str, Result], None]) -> None:
    def size(tensor: Tensor) -> float:
        return float(tensor.double().pow(2).mean().sqrt())

    state = tiny_model.model.state_dict()
    compare("TRAINING", {name: size(tensor) for name, tensor in state.items()})


def test_evaluation(tiny_model: EvaluatedModel, compare: Callable[[str, Result], None]) -> None:
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


def test_lowering(tiny_settings: Settings, compare: Callable[[str, Result], None]) -> None:
    example = torch.linspace(-1, 1, 2 * 6 * 6).view(1, 2, 6, 6)
    captured = capture(Unit().eval(), example, "unit", {})
    found: Result = {}
    for name in BACKENDS:
        settings = for_backend(tiny_settings, name)
        backend = backend_for(settings.lowering)
        program = backend.lower(captured, example, "unit")
        (exporter, version), *_ = target_of(settings).exporters.items()
        found[f"{exporter} {version}"] = {
            "operators": dict(program.operators),
            "logits": backend.run([program.data], example)[0].tolist(),
            "bytes": len(program.data),
        }
        for recipe in backend.spec.recipes:
            # Without logits: other processors may round int8 otherwise.
            quantization = Quantization(recipe, example)
            program = backend.lower(captured, example, "unit", quantization)
            found[f"{exporter} {version} {recipe}"] = {
                "operators": dict(program.operators),
                "bytes": len(program.data),
            }
    compare("LOWERING", found)


def test_schedule(built_bundle: Bundle, compare: Callable[[str, Result], None]) -> None:
    steps = built_bundle.manifest.schedule.steps
    said = [
        [step.route, step.shipped, step.cost, re.sub(r"[\d.]+", "#", step.why)] for step in steps
    ]
    compare("SCHEDULE", {"steps": said, "order": built_bundle.manifest.schedule.order})


def test_bundle(built_bundle: Bundle, compare: Callable[[str, Result], None]) -> None:
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
