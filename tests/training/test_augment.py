from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipeline.core.errors import UsageError
from pipeline.core.progress import Silent
from pipeline.data.images import Dataset, ImageSet
from pipeline.data.normalization import Normalization
from pipeline.data.tensors import Standardization
from pipeline.model.family import build_model
from pipeline.model.route import prefix_routes
from pipeline.settings import (
    IGNORED,
    AugmentationSettings,
    JointDistillation,
    Settings,
    TeacherSettings,
    TrainingSettings,
)
from pipeline.training import distill as distill_module
from pipeline.training.augment import Augmentation, Changes
from pipeline.training.cached_training import conditions_for
from pipeline.training.conditions import Conditions, Examples, TrainingRun
from pipeline.training.distill import distill
from pipeline.training.processes import Processes
from pipeline.training.recipes.joint import JointRecipe
from pipeline.training.recipes.recipe import Batch
from pipeline.training.teacher import train_teacher
from pipeline.training.training_log import NoTrainingLog
from pipeline.workflows.training_cache import training_files
from tests.fixtures import TINY_PROFILE, settings_from
from tests.training.test_fit import InterruptedRunError, InterruptsAfter, equal

NORMALIZATION = Normalization((0.5, 0.25), (0.5, 0.125))
BLACK = torch.tensor([-1.0, -2.0])
PIXELS = np.random.default_rng(0).integers(1, 256, (6, 5, 7, 2), np.uint8)
IMAGES = NORMALIZATION.apply(PIXELS)
EXAMPLES = Examples(IMAGES, torch.arange(6) % 3)


def augmentation(**settings: object) -> Augmentation:
    return Augmentation.of(AugmentationSettings.model_validate(settings), NORMALIZATION)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_mirrored_images_are_read_from_right_to_left_and_the_others_stay() -> None:
    mirrored = torch.tensor([True, False, True, False, False, False])
    found = augmentation(flip=True).apply(IMAGES, Changes(mirrored=mirrored))
    expected = IMAGES.numpy().copy()
    expected[[0, 2]] = expected[[0, 2], :, :, ::-1]
    assert np.array_equal(found.numpy(), expected)


def test_about_half_of_the_images_are_mirrored() -> None:
    mirrored = augmentation(flip=True).draw(1000, generator()).mirrored
    assert mirrored is not None
    assert 450 < mirrored.sum() < 550


@pytest.mark.parametrize(("row", "column"), [(0, 0), (2, 2), (4, 1), (3, 4)])
def test_a_moved_image_comes_in_whole_pixels_and_what_is_new_is_black(
    row: int, column: int
) -> None:
    moves = torch.tensor([[row, column]] * len(IMAGES))
    found = augmentation(crop=2).apply(IMAGES, Changes(moves=moves))
    framed = np.pad(PIXELS, ((0, 0), (2, 2), (2, 2), (0, 0)))[:, row : row + 5, column : column + 7]
    assert torch.equal(found, NORMALIZATION.apply(framed))


@pytest.mark.parametrize(("row", "column"), [(0, 0), (2, 2), (4, 1), (3, 4)])
def test_a_moved_image_may_reflect_its_own_edge(row: int, column: int) -> None:
    moves = torch.tensor([[row, column]] * len(IMAGES))
    found = augmentation(crop=2, border="reflect").apply(IMAGES, Changes(moves=moves))
    framed = np.pad(PIXELS, ((0, 0), (2, 2), (2, 2), (0, 0)), mode="reflect")
    cut = framed[:, row : row + 5, column : column + 7]
    assert torch.equal(found, NORMALIZATION.apply(cut))


def test_every_image_is_moved_on_its_own_and_no_further_than_asked() -> None:
    moves = augmentation(crop=3).draw(500, generator()).moves
    assert moves is not None
    assert moves.min() == 0
    assert moves.max() == 6
    assert len({tuple(move) for move in moves.tolist()}) == 49


def test_a_quarter_turn_is_counterclockwise() -> None:
    square = IMAGES[:, :, :, :5]
    turned = augmentation(rotation=90).apply(square, Changes(angles=torch.full((6,), np.pi / 2)))
    assert np.allclose(turned.numpy(), np.rot90(square.numpy(), axes=(2, 3)), atol=1e-4)


def test_a_half_turn_of_an_oblong_image_keeps_its_pixels() -> None:
    turned = augmentation(rotation=180).apply(IMAGES, Changes(angles=torch.full((6,), np.pi)))
    assert np.allclose(turned.numpy(), IMAGES.numpy()[:, :, ::-1, ::-1], atol=1e-4)


def test_an_oblong_image_is_turned_without_being_stretched() -> None:
    """A quarter turn puts the middle row into the middle column; the ends do not fit and go."""
    turned = augmentation(rotation=90).apply(IMAGES, Changes(angles=torch.full((6,), np.pi / 2)))
    assert torch.allclose(turned[:, :, :, 3], IMAGES[:, :, 2, 1:6].flip(2), atol=1e-4)
    assert torch.allclose(turned[:, :, :, 0], BLACK.view(1, 2, 1).expand(6, 2, 5), atol=1e-4)


def test_angles_stay_within_the_degrees_asked_for_on_both_sides() -> None:
    angles = augmentation(rotation=10).draw(1000, generator()).angles
    assert angles is not None
    assert -np.pi / 18 <= angles.min() < -0.16
    assert 0.16 < angles.max() <= np.pi / 18


def test_all_changes_together_leave_shape_and_memory_format() -> None:
    everything = augmentation(flip=True, crop=1, rotation=20)
    found = everything.apply(IMAGES, everything.draw(6, generator()))
    assert found.shape == IMAGES.shape
    assert found.dtype == torch.float32
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert not torch.equal(found, IMAGES)


def test_what_happens_to_an_image_does_not_depend_on_its_neighbors() -> None:
    everything = augmentation(flip=True, crop=1, rotation=20)
    changes = everything.draw(6, generator())
    whole = everything.apply(IMAGES, changes)
    halves = [
        everything.apply(IMAGES[part], changes.of(part)) for part in (slice(0, 3), slice(3, 6))
    ]
    assert torch.allclose(whole, torch.cat(halves), atol=1e-6)


def test_random_numbers_come_from_the_generator_of_the_step_alone() -> None:
    conditions = Conditions(augmentation(flip=True, crop=2, rotation=5))
    examples, indices = Examples(IMAGES, torch.arange(6)), torch.tensor([4, 1])
    state = torch.get_rng_state()
    first = conditions.draw(examples, indices, generator(3))
    again = conditions.draw(examples, indices, generator(3))
    other = conditions.draw(examples, indices, generator(4))
    assert torch.equal(first.images, again.images)
    assert not torch.equal(first.images, other.images)
    assert torch.equal(first.labels, torch.tensor([4, 1]))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    "changes",
    [
        Changes(mirrored=torch.tensor([True, False])),
        Changes(moves=torch.tensor([[0, 3], [4, 1]])),
        Changes(angles=torch.tensor([math.pi / 2, 0.0])),
    ],
)
@pytest.mark.parametrize("border", ["black", "reflect"])
def test_a_label_map_changes_as_its_image_does(changes: Changes, border: str) -> None:
    settings = AugmentationSettings(flip=True, crop=2, rotation=90, border=border)
    maps = torch.arange(1, 51).view(2, 5, 5).to(torch.uint8)
    images = maps.unsqueeze(1).float()
    augmentation = Augmentation(settings, torch.zeros(1))  # black: no label's number
    moved = augmentation.apply(images, changes).squeeze(1).round().to(torch.uint8)
    found = augmentation.apply_to_maps(maps, changes)
    assert (found == moved.where(moved > 0, torch.tensor(IGNORED, dtype=torch.uint8))).all()
    assert not torch.equal(found, maps)


def test_labels_in_between_are_none_of_a_rotated_map() -> None:
    maps = torch.zeros(1, 8, 8, dtype=torch.uint8)
    maps[:, :, 4:] = 2
    augmentation = Augmentation(AugmentationSettings(rotation=30), torch.zeros(1))
    found = augmentation.apply_to_maps(maps, Changes(angles=torch.tensor([0.4])))
    assert set(found.unique().tolist()) == {0, 2, IGNORED}


def test_a_batch_draws_images_and_maps_alike() -> None:
    maps = torch.arange(1, 101).view(4, 5, 5).to(torch.uint8)
    inputs = Standardization((), ()).inputs(maps.unsqueeze(1).float().numpy())
    augmentation = Augmentation(AugmentationSettings(flip=True, crop=2), torch.zeros(1))
    drawn = Conditions(augmentation).draw(
        Examples(inputs, maps), torch.arange(4), torch.Generator().manual_seed(0)
    )
    black = drawn.images.squeeze(1) == 0
    assert (drawn.labels == drawn.images.squeeze(1).masked_fill(black, IGNORED)).all()


def test_values_that_are_no_pixels_are_not_augmented() -> None:
    values = ImageSet(np.zeros((4, 1, 8, 8), np.float32), np.arange(4))
    dataset = Dataset(values, values, ("a", "b"), Standardization(), stated_by="profile")
    table = TrainingSettings(
        augmentation=AugmentationSettings(flip=True),
        distillation=JointDistillation(recipe="joint", epochs=1, batch_size=2),
    )
    with pytest.raises(UsageError, match=r"no images: \[training.augmentation\] cannot be used"):
        conditions_for(table, dataset, NoTrainingLog(), Processes())


def test_without_augmentation_the_generator_is_left_alone() -> None:
    untouched, used = generator(), generator()
    Conditions().draw(EXAMPLES, torch.arange(2), used)
    assert torch.equal(untouched.get_state(), used.get_state())


def test_the_students_teacher_sees_the_augmented_images(
    tiny_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build_model(tiny_settings.model, (2, 5, 7), classes=3, seed=0)
    seen: list[Tensor] = []

    class Spy(JointRecipe):
        def loss(
            self, model: nn.Module, batch: Batch, generator: torch.Generator
        ) -> Mapping[str, Tensor]:
            with torch.no_grad():
                said = model.teacher(batch.images)
            assert torch.allclose(batch.teacher_outputs[-1], said, atol=1e-5)
            seen.extend(batch.images)
            return super().loss(model, batch, generator)

    monkeypatch.setattr(distill_module, "recipe_for", Spy)
    settings = JointDistillation(recipe="joint", epochs=1, batch_size=3, learning_rate=1e-3)
    conditions = Conditions(augmentation(crop=2))
    run = TrainingRun(0, tmp_path / "checkpoint", Silent(), conditions)
    distill(model, EXAMPLES, prefix_routes(model.blocks), settings, run)
    known = {tuple(image.flatten().tolist()) for image in IMAGES}
    assert sum(tuple(image.flatten().tolist()) in known for image in seen) < len(seen) == 6


def test_an_interrupted_augmented_run_ends_with_the_weights_of_an_uninterrupted_one(
    tiny_settings: Settings, tmp_path: Path
) -> None:
    conditions = Conditions(augmentation(flip=True, crop=1, rotation=15))

    def train(name: str, progress: Silent) -> nn.Module:
        model = build_model(tiny_settings.model, (2, 5, 7), classes=3, seed=0)
        settings = TeacherSettings(epochs=4, batch_size=3)
        run = TrainingRun(1, tmp_path / name, progress, conditions)
        train_teacher(model.teacher, EXAMPLES, settings, run)
        return model.teacher

    whole = train("whole", Silent())
    with pytest.raises(InterruptedRunError):
        train("broken", InterruptsAfter(2))
    assert equal(whole, train("broken", Silent()))
    conditions = Conditions()
    assert not equal(whole, train("plain", Silent()))


def test_augmentation_has_a_part_in_the_names_of_what_is_trained(
    tiny_settings: Settings, tmp_path: Path
) -> None:
    plain = training_files(tiny_settings, tmp_path)
    changed = settings_from(TINY_PROFILE + "[training.augmentation]\nflip = true\n", tmp_path)
    files = training_files(changed, tmp_path)
    assert files.teacher != plain.teacher
    assert files.model != plain.model


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("flop = true", "training.augmentation.flop: unknown key; did you mean 'flip'?"),
        ("crop = -1", "training.augmentation.crop: "),
        ("rotation = 200", "training.augmentation.rotation: "),
        ('border = "white"', "training.augmentation.border: "),
        ('border = "reflect"', 'border = "reflect" changes nothing without crop'),
    ],
)
def test_wrong_settings_are_named(line: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        settings_from(f"{TINY_PROFILE}[training.augmentation]\n{line}\n", tmp_path)
    assert said in str(caught.value)
