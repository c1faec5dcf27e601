from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import pytest
import torch
from torch import Tensor, nn

from pipeline.core.errors import UsageError
from pipeline.core.progress import Silent
from pipeline.data.images import Dataset
from pipeline.data.source import load_dataset
from pipeline.model.family import build_model
from pipeline.model.pwl import PwlModel
from pipeline.model.route import Route, prefix_routes
from pipeline.settings import (
    DigitsData,
    JointDistillation,
    ReferenceDistillation,
    Settings,
    TeacherSettings,
)
from pipeline.training import cached_training as train_module
from pipeline.training import distill as distill_module
from pipeline.training.conditions import Conditions, Examples, TrainingRun
from pipeline.training.distill import distill
from pipeline.training.fit import reproducible
from pipeline.training.losses import distillation, feature_distance
from pipeline.training.recipes.recipe import Batch
from pipeline.training.recipes.recipe_registry import recipe_for
from pipeline.training.teacher import train_teacher
from pipeline.workflows.schedule_model import scheduled_model
from pipeline.workflows.training_cache import training_files
from tests.fixtures import TINY_PROFILE, settings_from
from tests.said_lines import SaidLines

Distillation = JointDistillation | ReferenceDistillation
RECIPES = [
    JointDistillation(recipe="joint", epochs=8, batch_size=32),
    ReferenceDistillation(recipe="reference", epochs=12, batch_size=32, cross="all"),
]
BF16 = TINY_PROFILE.replace(
    "threads = 1\n\n[training.t", 'threads = 1\nprecision = "bf16"\n\n[training.t'
)


@pytest.fixture(scope="module")
def data() -> Dataset:
    return load_dataset(DigitsData(source="digits", test_images=1200), seed=0)


def run_in(precision: Literal["fp32", "bf16"], seed: int, folder: Path) -> TrainingRun:
    return TrainingRun(seed, folder / "checkpoint", Silent(), Conditions(precision=precision))


def examples_of(data: Dataset) -> Examples:
    inputs = data.normalization.apply(data.train.images)
    return Examples(inputs, torch.from_numpy(data.train.labels))


@pytest.fixture(scope="module")
def teachers(
    data: Dataset, tiny_settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Mapping[str, Tensor]]:
    """The weights of a teacher that was trained in each precision, for all recipes."""
    settings, folder = TeacherSettings(epochs=8, batch_size=32), tmp_path_factory.mktemp("teacher")
    found: dict[str, Mapping[str, Tensor]] = {}
    for precision in ("fp32", "bf16"):
        teacher = build_model(tiny_settings.model, data.image_shape, 10, seed=0).teacher
        with reproducible(1):
            train_teacher(teacher, examples_of(data), settings, run_in(precision, 0, folder))
        found[precision] = teacher.state_dict()
    return found


def distilled(
    data: Dataset,
    tiny_settings: Settings,
    teacher: Mapping[str, Tensor],
    recipe: Distillation,
    run: TrainingRun,
) -> PwlModel:
    model = build_model(tiny_settings.model, data.image_shape, 10, seed=0)
    model.teacher.load_state_dict(teacher)
    with reproducible(1):
        distill(model, examples_of(data), prefix_routes(3), recipe, run)
    return model


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.recipe)
def test_bfloat16_trains_float32_weights_as_well_as_float32_does(
    recipe: Distillation,
    data: Dataset,
    tiny_settings: Settings,
    teachers: dict[str, Mapping[str, Tensor]],
    tmp_path: Path,
) -> None:
    inputs = data.normalization.apply(data.test.images)
    labels = torch.from_numpy(data.test.labels)
    right: dict[str, list[float]] = {}
    for precision in ("fp32", "bf16"):
        run = run_in(precision, 1, tmp_path)
        model = distilled(data, tiny_settings, teachers[precision], recipe, run)
        assert {p.dtype for p in model.parameters()} == {torch.float32}
        with torch.no_grad():
            right[precision] = [
                float((model(inputs, route).argmax(1) == labels).float().mean())
                for route in prefix_routes(3)
            ]
    assert right["bf16"] != right["fp32"]
    assert right["bf16"] == pytest.approx(right["fp32"], abs=0.1)
    assert min(right["bf16"]) > 0.6


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.recipe)
def test_networks_compute_in_bfloat16_while_teacher_features_and_losses_are_float32(
    recipe: Distillation,
    data: Dataset,
    tiny_settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = build_model(tiny_settings.model, data.image_shape, 10, seed=0)
    computed: set[torch.dtype] = set()
    model.student.blocks[1].register_forward_hook(lambda *_: computed.add(_[2].dtype))
    seen = 0

    class Spy:
        def __init__(self, settings: Distillation, routes: Sequence[Route]) -> None:
            self.recipe = recipe_for(settings, routes)
            self.trainable = self.recipe.trainable

        def loss(
            self, model: PwlModel, batch: Batch, generator: torch.Generator
        ) -> Mapping[str, Tensor]:
            nonlocal seen
            with torch.autocast("cpu", enabled=False), torch.no_grad():
                exact = model.teacher(batch.images)
            assert torch.allclose(batch.teacher_outputs[-1], exact, atol=1e-5)
            computed.clear()
            terms = self.recipe.loss(model, batch, generator)
            assert computed == {torch.bfloat16}
            assert {term.dtype for term in terms.values()} == {torch.float32}
            seen += 1
            return terms

    monkeypatch.setattr(distill_module, "recipe_for", Spy)
    distill(
        model,
        examples_of(data),
        prefix_routes(3),
        recipe.model_copy(update={"epochs": 1, "batch_size": 256}),
        run_in("bf16", 0, tmp_path),
        storage="recompute",
    )
    assert seen == (2 if recipe.drop_last else 3)  # of 597 images, 512 fill two batches


def test_losses_of_bfloat16_values_are_those_of_the_same_values_in_float32() -> None:
    logits, target = torch.randn(2, 6, 5, generator=torch.Generator().manual_seed(0)).bfloat16()
    labels = torch.arange(6) % 5
    with torch.autocast("cpu", torch.bfloat16):
        found = distillation(logits, labels, target, 0.4, 2.0), feature_distance(logits, target)
    exact = (
        distillation(logits.float(), labels, target.float(), 0.4, 2.0),
        feature_distance(logits.float(), target.float()),
    )
    assert torch.equal(torch.stack(found), torch.stack(exact))


def test_without_it_nothing_computes_in_bfloat16() -> None:
    with Conditions().arithmetic():
        assert nn.Linear(2, 2)(torch.ones(1, 2)).dtype == torch.float32


def test_precision_has_a_part_in_the_names_of_what_is_trained(
    tiny_settings: Settings, tmp_path: Path
) -> None:
    plain = training_files(tiny_settings, tmp_path)
    files = training_files(settings_from(BF16, tmp_path), tmp_path)
    assert files.teacher != plain.teacher
    assert files.model != plain.model


@pytest.mark.parametrize(
    ("kind", "warned"),
    [("x86_64 avx2", True), ("x86_64 amx_tile", False), ("x86_64 avx512_bf16", False)],
)
def test_a_processor_that_gains_nothing_from_it_is_told(
    kind: str, warned: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = SaidLines()
    monkeypatch.setattr(train_module, "machine_kind", lambda: kind)
    on_processor = BF16.replace("threads = 1\n", 'threads = 1\ndevice = "cpu"\n', 1)
    settings = settings_from(on_processor.replace("epochs = 3", "epochs = 1"), tmp_path)
    scheduled_model(settings, tmp_path, said)
    assert any("no bfloat16 arithmetic" in line for line in said.lines) == warned


def test_another_precision_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"training\.precision: .*'fp16'"):
        settings_from(BF16.replace("bf16", "fp16"), tmp_path)
