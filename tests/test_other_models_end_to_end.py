"""Other families and other orders all the way: built, run by the native harness, compared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.bundle.verify import Bundle
from pipeline.core.progress import Silent
from pipeline.report.report_file import load_report
from pipeline.report.schema import Report
from pipeline.settings import BackendName, for_backend
from pipeline.toolchain.package import Package
from pipeline.workflows.build_bundle import assemble
from tests.fixtures import TINY_PROFILE, settings_from
from tests.test_end_to_end import run

PROFILE = """
name = "tiny-{family}"

[data]
source = "digits"
test_images = 1500

[model]
family = "{family}"
teacher = {{ {teacher} }}
student = {{ {student} }}

[training]
threads = 1
teacher = {{ epochs = 2, gradient_norm = 1.0 }}
distillation = {{ recipe = "joint", epochs = 2, gradient_norm = 1.0 }}

[schedule]
stages = "all"

[lowering]
tolerance = 1e-5

[bundle]
golden_images = 3
evaluation_images = 40
"""
FAMILIES = {
    "vgg": ("widths = [8, 12], depths = [2, 1]", "widths = [4, 6], depths = [1, 1]"),
    "vit": (
        "patch = 4, width = 12, heads = 3, depths = [1, 1]",
        "patch = 4, width = 8, heads = 2, depths = [1, 1]",
    ),
}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("backend", ["executorch", "litert"])
def test_a_family_labels_on_the_device_as_on_the_host(
    family: str, backend: BackendName, cache: Path, harness_package: Package, tmp_path: Path
) -> None:
    teacher, student = FAMILIES[family]
    text = PROFILE.format(family=family, teacher=teacher, student=student)
    settings = for_backend(settings_from(text, tmp_path), backend)
    # A unit that is not one delegate, or that deviates, would be an error here.
    made = assemble(settings, tmp_path / "bundle", cache, Silent())
    manifest = made.bundle.manifest
    units = {"student-0", "student-1", "teacher-0", "teacher-1", "encoder-0"}
    assert {artifact.id for artifact in manifest.artifacts} == units
    for artifact in manifest.artifacts:
        assert artifact.delegated == sum(artifact.operators.values()) > 0
    assert max(stage.parity.max_rel for stage in manifest.stages) < 1e-5
    report = profiled(tmp_path, harness_package)
    assert report.bundle.family == family
    assert [stage.route for stage in report.stages] == ["SS", "TS", "TT"]
    assert all(stage.differing <= 1 for stage in report.stages)
    assert len(report.parity) == 6
    assert all(result.passed for result in report.parity)
    assert any(result.max_rel for result in report.parity)


SOUND = """
import torch
from torch import nn
from pipeline.ingest.python import OwnModel

class Net(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.embedder = nn.Conv1d(2, width, 5, 2, 2)
        self.blocks = nn.ModuleList([
            nn.Sequential(nn.BatchNorm1d(width), nn.ReLU(), nn.MaxPool1d(2)),
            nn.Sequential(nn.Conv1d(width, width, 3, padding=1), nn.ReLU()),
        ])
        self.classifier = nn.Sequential(nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(width, 3))

def model():
    return OwnModel(Net(6), Net(4), image_shape=(2, 24), encoders=[nn.Conv1d(6, 4, 1)])
"""


def test_what_is_no_image_goes_all_the_way(
    cache: Path, harness_package: Package, tmp_path: Path
) -> None:
    """Values of a sound, standardized by the profile, and features whose widths differ."""
    random = np.random.default_rng(0)
    values, labels = random.normal(3, 9, (40, 2, 24)), np.arange(40) % 3
    np.savez(tmp_path / "sound.npz", x_train=values, y_train=labels, x_test=values, y_test=labels)
    (tmp_path / "sound.py").write_text(SOUND)
    text = (
        'name = "sound"\n'
        'data = { source = "npz", path = "sound.npz", mean = [3.0, 2.0], std = [9.0, 8.0] }\n'
        'model = { source = "python:sound.py:model" }\n'
        'schedule = { stages = "all" }\n'
    )
    made = assemble(settings_from(text, tmp_path), tmp_path / "bundle", cache, Silent(), jobs=1)
    read = made.bundle.manifest.input
    assert (read.kind, read.layout, read.shape) == ("tensor", "NTC", (1, 2, 24))
    inputs = np.fromfile(tmp_path / "bundle/eval/inputs.f32", "<f4").reshape(40, 2, 24)
    wanted = (values - np.array([[3.0], [2.0]])) / np.array([[9.0], [8.0]])
    assert sorted(inputs.sum((1, 2))) == pytest.approx(sorted(wanted.sum((1, 2))), abs=1e-3)
    report = profiled(tmp_path, harness_package)
    assert [stage.route for stage in report.stages] == ["SS", "TS", "TT"]
    assert all(stage.differing <= 1 for stage in report.stages)
    assert all(result.passed for result in report.parity)
    page = (tmp_path / "report" / "report.html").read_text()
    assert "values minus mean 3 2, / std 9 8" in page
    shown = run("pipeline.inspect", tmp_path / "bundle")
    assert "values: (x - mean) / std, mean 3 2, std 9 8" in shown.stdout


def test_another_order_than_the_paper_s_runs_on_the_device(
    either_bundle: Bundle, tiny_cache: Path, harness_package: Package, tmp_path: Path
) -> None:
    backend = either_bundle.manifest.backend.name  # whose units are in the cache
    text = TINY_PROFILE.replace('stages = "all"', 'stages = "all"\norders = ["suffix"]')
    settings = for_backend(settings_from(text, tmp_path), backend)
    assemble(settings, tmp_path / "bundle", tiny_cache, Silent(), jobs=1)
    report = profiled(tmp_path, harness_package)
    assert [stage.route for stage in report.stages] == ["SSS", "SST", "STT", "TTT"]
    assert all(stage.differing <= 1 for stage in report.stages)
    assert all(result.passed for result in report.parity)
    assert report.schedule is not None
    assert report.schedule.order == "suffix"
    page = (tmp_path / "report" / "report.html").read_text()
    assert "Why these stages" in page
    assert "every stage was asked for" in page


def profiled(folder: Path, package: Package) -> Report:
    done = run(
        *("pipeline.profile", folder / "bundle", "--rounds", 3, "--out", folder / "report"),
        *("--device", f"local:{folder / 'device'}", "--harness", package.root),
        *("--fps", "none"),
    )
    assert done.returncode == 0, done.stderr
    return load_report(folder / "report" / "report.json")
