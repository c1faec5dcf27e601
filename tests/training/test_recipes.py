from __future__ import annotations

import copy
import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.core.errors import UsageError
from pipeline.core.progress import Silent
from pipeline.data.images import Dataset
from pipeline.data.source import load_dataset
from pipeline.evaluation.accuracy import Accuracy
from pipeline.evaluation.predictions import EvaluatedModel
from pipeline.model.family import build_model
from pipeline.model.pwl import PwlModel
from pipeline.model.route import Route, prefix_routes
from pipeline.settings import (
    DigitsData,
    FeatureStorage,
    JointDistillation,
    ReferenceDistillation,
    ResNetModel,
    ResNetSettings,
    TeacherSettings,
)
from pipeline.training.conditions import Examples, TrainingRun
from pipeline.training.distill import distill
from pipeline.training.features import TeacherFeatures
from pipeline.training.kept_features import FeatureKeeping
from pipeline.training.losses import distillation, feature_distance, softened_divergence
from pipeline.training.pointwise import subsampled
from pipeline.training.recipes.paths import path_outputs
from pipeline.training.recipes.recipe import Batch, random_mixed_route
from pipeline.training.recipes.recipe_registry import recipe_for
from pipeline.training.teacher import train_teacher

RECIPES: list[JointDistillation | ReferenceDistillation] = [
    JointDistillation(recipe="joint", epochs=6),
    ReferenceDistillation(recipe="reference", epochs=6, batch_size=64),
    ReferenceDistillation(recipe="reference", epochs=6, batch_size=64, cross="all"),
]
NAMES = [" ".join([s.recipe, getattr(s, "cross", "")]).strip() for s in RECIPES]


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return load_dataset(DigitsData(source="digits"), seed=0)


@pytest.fixture(scope="module")
def distilled(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> PwlModel:
    """A model with a trained teacher and a fresh student of other widths."""
    settings = ResNetModel(
        family="resnet",
        teacher=ResNetSettings(stem=8, widths=(8, 12, 16), depths=(1, 1, 1)),
        student=ResNetSettings(stem=6, widths=(6, 8, 12), depths=(1, 1, 1)),
    )
    model = build_model(settings, dataset.image_shape, len(dataset.names), seed=0)
    run = TrainingRun(0, tmp_path_factory.mktemp("teacher") / "checkpoint", Silent())
    train_teacher(model.teacher, examples_of(dataset), TeacherSettings(epochs=6), run)
    return model.eval()


def examples_of(dataset: Dataset) -> Examples:
    inputs = dataset.normalization.apply(dataset.train.images)
    return Examples(inputs, torch.from_numpy(dataset.train.labels))


def accuracies(model: PwlModel, dataset: Dataset, tmp_path: Path) -> list[float]:
    routes = prefix_routes(model.blocks)
    predictions = EvaluatedModel.of(
        model, dataset, routes, tmp_path / "found", Silent()
    ).predictions
    return [Accuracy.of(row, dataset.test.labels).top1 for row in predictions]


@pytest.mark.parametrize("settings", RECIPES, ids=NAMES)
def test_a_recipe_lifts_every_prefix_stage_far_above_chance_and_leaves_the_teacher_alone(
    settings: JointDistillation | ReferenceDistillation,
    distilled: PwlModel,
    dataset: Dataset,
    tmp_path: Path,
) -> None:
    model = copy.deepcopy(distilled)
    before = accuracies(model, dataset, tmp_path / "before")
    distill(
        model,
        examples_of(dataset),
        prefix_routes(model.blocks),
        settings,
        TrainingRun(0, tmp_path / "checkpoint", Silent()),
    )
    after = accuracies(model, dataset, tmp_path / "after")
    assert max(before[:-1]) < 0.4
    assert min(after) > 0.8
    assert after[-1] == before[-1]
    for name, tensor in distilled.teacher.state_dict().items():
        assert torch.equal(tensor, model.teacher.state_dict()[name]), name


@pytest.mark.parametrize("settings", RECIPES, ids=NAMES)
def test_every_trained_parameter_gets_a_gradient_and_the_teacher_none(
    settings: JointDistillation | ReferenceDistillation, distilled: PwlModel, dataset: Dataset
) -> None:
    recipe = recipe_for(settings, prefix_routes(3))
    distilled.zero_grad()
    distilled.teacher.requires_grad_(False)
    trainable = recipe.trainable(distilled)
    trainable.module.train()
    inputs = dataset.normalization.apply(dataset.train.images[:64])
    labels = torch.from_numpy(dataset.train.labels[:64])
    features = TeacherFeatures(distilled.teacher, inputs)
    batch = Batch(inputs, labels, features.batch(torch.arange(64)))
    with subsampled(distilled):  # as `fit` does: else this processor may write past its memory
        terms = recipe.loss(distilled, batch, torch.Generator().manual_seed(0))
        torch.stack(list(terms.values())).sum().backward()
    covered = [parameter for group, _ in trainable.rates for parameter in group]
    assert {id(p) for p in covered} == {id(p) for p in trainable.module.parameters()}
    assert all(parameter.grad is not None for parameter in covered)
    assert all(parameter.grad is None for parameter in distilled.teacher.parameters())
    trainable.module.eval()
    distilled.zero_grad()


def test_the_reference_recipe_has_the_five_terms_of_the_paper(
    distilled: PwlModel, dataset: Dataset
) -> None:
    settings = ReferenceDistillation(recipe="reference", epochs=1)
    inputs = dataset.normalization.apply(dataset.train.images[:8])
    labels = torch.from_numpy(dataset.train.labels[:8])
    features = TeacherFeatures(distilled.teacher, inputs)
    batch = Batch(inputs, labels, features.batch(torch.arange(8)))
    terms = recipe_for(settings, prefix_routes(3)).loss(
        distilled, batch, torch.Generator().manual_seed(0)
    )
    # cross entropy and divergence of the student are one weighted term
    assert list(terms) == ["student", "sync", "recon", "cross"]
    doubled = settings.model_copy(update={"sync_weight": 2.0})
    again = recipe_for(doubled, prefix_routes(3)).loss(
        distilled, batch, torch.Generator().manual_seed(0)
    )
    assert torch.allclose(again["sync"], 2 * terms["sync"])
    assert torch.allclose(again["recon"], terms["recon"])


def test_paths_run_together_answer_as_each_alone(distilled: PwlModel, dataset: Dataset) -> None:
    inputs = dataset.normalization.apply(dataset.train.images[:8])
    features = TeacherFeatures(distilled.teacher, inputs)
    batch = Batch(inputs, torch.zeros(8).long(), features.batch(torch.arange(8)))
    routes = [Route.parse("".join(word)) for word in itertools.product("ST", repeat=3)][:-1]
    with torch.no_grad():
        together = path_outputs(distilled, routes, batch)
        assert list(together) == routes
        for route in routes:
            assert torch.allclose(together[route], distilled(inputs, route), atol=1e-5), route


def test_the_joint_recipe_serves_the_order_that_it_is_trained_for(
    distilled: PwlModel, dataset: Dataset, tmp_path: Path
) -> None:
    model = copy.deepcopy(distilled)
    suffix = [Route.parse(word) for word in ("SSS", "SST", "STT", "TTT")]
    distill(
        model,
        examples_of(dataset),
        suffix,
        JointDistillation(recipe="joint", epochs=6),
        TrainingRun(0, tmp_path / "checkpoint", Silent()),
    )
    found = EvaluatedModel.of(model, dataset, suffix, tmp_path / "found", Silent())
    assert min(accuracy.top1 for accuracy in found.accuracy) > 0.8
    for name, tensor in distilled.teacher.state_dict().items():
        assert torch.equal(tensor, model.teacher.state_dict()[name]), name


def test_mixed_routes_are_drawn_from_all_but_the_pure_ones() -> None:
    generator = torch.Generator().manual_seed(0)
    drawn = {str(random_mixed_route(3, generator)) for _ in range(200)}
    assert drawn == {"TSS", "STS", "SST", "TTS", "TST", "STT"}


@pytest.mark.parametrize("storage", ["memory", "disk", "recompute"])
def test_teacher_features_are_the_same_kept_or_computed(
    storage: FeatureStorage, distilled: PwlModel, dataset: Dataset, tmp_path: Path
) -> None:
    inputs = dataset.normalization.apply(dataset.train.images[:32])
    keeping = FeatureKeeping(storage, tmp_path, Silent())
    features = TeacherFeatures(distilled.teacher, inputs, keeping).batch(torch.tensor([3, 17]))
    with torch.no_grad():
        expected = distilled.teacher(inputs[[3, 17]])
    assert len(features) == 3
    assert torch.allclose(features[-1], expected, atol=1e-5)


def test_softened_divergence_is_zero_for_equal_logits_and_grows_with_distance() -> None:
    logits = torch.randn(4, 5)
    assert softened_divergence(logits, logits, 2.0).abs() < 1e-6
    near = softened_divergence(logits + 0.1 * torch.randn(4, 5), logits, 2.0)
    assert 0 < near < softened_divergence(logits.flip(1), logits, 2.0)


def test_distillation_mixes_its_two_terms_by_alpha() -> None:
    logits, target = torch.randn(4, 5), torch.randn(4, 5)
    labels = torch.tensor([0, 1, 2, 3])
    hard = torch.nn.functional.cross_entropy(logits, labels)
    soft = softened_divergence(logits, target, 3.0)
    mixed = distillation(logits, labels, target, alpha=0.25, temperature=3.0)
    assert torch.allclose(mixed, 0.25 * hard + 0.75 * soft)


def test_feature_distance_counts_size_and_direction() -> None:
    features = torch.randn(3, 4, 2, 2)
    assert feature_distance(features, features).abs() < 1e-6
    opposite = feature_distance(features, -features)
    assert torch.allclose(opposite, (4 * features**2).mean() + 2, atol=1e-5)


def test_accuracy_has_the_wilson_interval() -> None:
    labels = np.arange(100) % 10
    predictions = labels.astype(np.uint16)
    predictions[:10] = 11
    accuracy = Accuracy.of(predictions, labels)
    assert (accuracy.correct, accuracy.images, accuracy.top1) == (90, 100, 0.9)
    # Wilson (1927) for 90 of 100: 0.8256, 0.9448
    assert accuracy.low == pytest.approx(0.8256, abs=1e-4)
    assert accuracy.high == pytest.approx(0.9448, abs=1e-4)


def test_what_was_evaluated_is_kept_route_by_route(
    distilled: PwlModel, dataset: Dataset, tmp_path: Path
) -> None:
    keep = tmp_path / "evaluation.safetensors"
    teacher, student = Route.parse("TTT"), Route.parse("SSS")
    first = EvaluatedModel.of(distilled, dataset, [teacher], keep, Silent())
    (file,) = tmp_path.iterdir()
    before = file.read_bytes()
    both = EvaluatedModel.of(distilled, dataset, [student, teacher], keep, Silent())
    assert both.predictions.shape == (2, len(dataset.test))
    assert np.array_equal(first.predictions[0], both.predictions[1])
    assert file.read_bytes() == before
    file.write_bytes(b"damaged")
    again = EvaluatedModel.of(distilled, dataset, [student, teacher], keep, Silent())
    assert np.array_equal(again.predictions, both.predictions)


def test_images_that_choose_are_evaluated_beside_the_test_images(
    distilled: PwlModel, dataset: Dataset, tmp_path: Path
) -> None:
    apart = dataset.holding_out(200, seed=1)
    assert len(apart.train) == len(dataset.train) - 200
    found = EvaluatedModel.of(distilled, apart, [Route.parse("TTT")], tmp_path / "found", Silent())
    assert found.choosing.shape == (1, 200)
    assert found.predictions.shape == (1, len(dataset.test))
    plain = EvaluatedModel.of(
        distilled, dataset, [Route.parse("TTT")], tmp_path / "plain", Silent()
    )
    assert plain.choosing is plain.predictions


def test_as_many_images_to_choose_by_as_to_test_with_are_not_taken_for_these(
    distilled: PwlModel, dataset: Dataset, tmp_path: Path
) -> None:
    apart = dataset.holding_out(len(dataset.test), seed=1)
    assert apart.held_out is not None
    found = EvaluatedModel.of(distilled, apart, [Route.parse("TTT")], tmp_path / "found", Silent())
    with torch.no_grad():
        inputs = dataset.normalization.apply(apart.held_out.images)
        expected = distilled.teacher(inputs).argmax(dim=1)
    assert np.array_equal(found.choosing[0], expected)


def test_a_part_of_the_routes_has_the_predictions_of_these_routes(
    distilled: PwlModel, dataset: Dataset, tmp_path: Path
) -> None:
    apart = dataset.holding_out(200, seed=1)
    routes = prefix_routes(3)
    whole = EvaluatedModel.of(distilled, apart, routes, tmp_path / "found", Silent())
    part = whole.along([routes[3], routes[1]])
    assert list(part.routes) == [routes[3], routes[1]]
    assert np.array_equal(part.predictions, whole.predictions[[3, 1]])
    assert np.array_equal(part.choosing, whole.choosing[[3, 1]])
    assert not np.array_equal(part.predictions, whole.predictions[:2])


def test_holding_out_every_training_image_is_refused(dataset: Dataset) -> None:
    with pytest.raises(UsageError, match="held_out = 1200 leaves none of 1200"):
        dataset.holding_out(1200, seed=0)
