"""Training on a GPU: the same bits every time, and nearly those of the processor."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipeline.core.errors import DeviceError, UsageError
from pipeline.core.progress import Progress, Silent, Task
from pipeline.data.tensors import Standardization
from pipeline.model.blocknet import BlockNet
from pipeline.model.route import prefix_routes
from pipeline.settings import (
    AugmentationSettings,
    FeatureStorage,
    JointDistillation,
    ReferenceDistillation,
    TeacherSettings,
)
from pipeline.training import device_inputs, kept_features
from pipeline.training.augment import Augmentation
from pipeline.training.conditions import Conditions, Examples, TrainingRun
from pipeline.training.device_inputs import inputs_on
from pipeline.training.distill import distill
from pipeline.training.fit import reproducible
from pipeline.training.gpu import gpu_errors
from pipeline.training.processes import device_for
from pipeline.training.teacher import train_teacher
from pipeline.workflows.schedule_model import scheduled_model
from tests.fixtures import TINY_PROFILE, settings_from
from tests.models.small_pairs import CLASSES, IMAGES, SMALL_PAIRS, SmallPair
from tests.said_lines import SaidLines

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no GPU here")

State = dict[str, Tensor]
Distillation = JointDistillation | ReferenceDistillation
CPU = torch.device("cpu")
#: One value of the learning rate for all: steps that are small enough not to amplify rounding.
STEPS = {"batch_size": 8, "learning_rate": 1e-3}
JOINT = JointDistillation(recipe="joint", epochs=2, **STEPS)
REFERENCE = ReferenceDistillation(recipe="reference", epochs=2, cross="all", **STEPS)
RECIPES = [JOINT, REFERENCE]


@pytest.fixture
def gpu() -> torch.device:
    return device_for("cuda")


class InterruptedRunError(Exception):
    pass


class InterruptsIn(Silent):
    """Ends a training from within in the second epoch of the phase of a title."""

    def __init__(self, title: str) -> None:
        self._title = title

    @contextmanager
    def task(self, title: str, total: float) -> Iterator[Task]:
        ends = title == self._title

        class Counting:
            done = False

            def advance(self, amount: float = 1, note: str = "") -> None:
                if ends and self.done:
                    raise InterruptedRunError
                self.done |= note.startswith("epoch")

        yield Counting()


def trained(
    kind: str,
    folder: Path,
    conditions: Conditions,
    recipe: Distillation = JOINT,
    storage: FeatureStorage = "auto",
    progress: Progress | None = None,
) -> State:
    """The weights of a small pair after two epochs of its teacher and two of its student."""
    pair = SMALL_PAIRS[kind]()
    examples = Examples(inputs_on(pair.examples.inputs, conditions.device), pair.examples.labels)
    runs = [
        TrainingRun(seed, folder / f"{seed}", progress or Silent(), conditions) for seed in (0, 1)
    ]
    with reproducible(1):
        if not examples.labels.is_floating_point():
            train_teacher(pair.model.teacher, examples, TeacherSettings(epochs=2, **STEPS), runs[0])
        distill(pair.model, examples, prefix_routes(2), recipe, runs[1], storage=storage)
    assert {parameter.device for parameter in pair.model.parameters()} == {conditions.device}
    return {name: tensor.cpu() for name, tensor in pair.model.state_dict().items()}


def equal(first: State, second: State) -> bool:
    return all(torch.equal(tensor, second[name]) for name, tensor in first.items())


def furthest(first: State, second: State) -> float:
    return max(float((tensor - second[name]).abs().max()) for name, tensor in first.items())


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.recipe)
@pytest.mark.parametrize("kind", SMALL_PAIRS)
def test_the_bits_are_the_same_every_time_and_nearly_those_of_the_processor(
    kind: str, recipe: Distillation, gpu: torch.device, tmp_path: Path
) -> None:
    found = trained(kind, tmp_path, Conditions(device=gpu), recipe)
    assert equal(found, trained(kind, tmp_path, Conditions(device=gpu), recipe))
    if kind not in ("tokens", "depthwise"):  # their dropout draws other numbers on a GPU
        assert furthest(found, trained(kind, tmp_path, Conditions(), recipe)) < 1e-3
    assert furthest(found, dict(SMALL_PAIRS[kind]().model.state_dict())) > 1e-3


@pytest.mark.parametrize("kind", SMALL_PAIRS)
def test_bfloat16_repeats_too_and_is_less_exact(
    kind: str, gpu: torch.device, tmp_path: Path
) -> None:
    found = trained(kind, tmp_path, Conditions(precision="bf16", device=gpu))
    assert equal(found, trained(kind, tmp_path, Conditions(precision="bf16", device=gpu)))
    assert 0 < furthest(found, trained(kind, tmp_path, Conditions(device=gpu))) < 0.05


@pytest.mark.parametrize("title", ["train teacher", "distil (joint)"])
@pytest.mark.parametrize("kind", ["residual", "tokens"])
def test_an_interrupted_run_ends_with_the_bits_of_an_uninterrupted_one(
    kind: str, title: str, gpu: torch.device, tmp_path: Path
) -> None:
    conditions = Conditions(device=gpu)
    whole = trained(kind, tmp_path / "whole", conditions)
    with pytest.raises(InterruptedRunError):
        trained(kind, tmp_path, conditions, progress=InterruptsIn(title))
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] != []
    assert equal(whole, trained(kind, tmp_path, conditions))


def test_a_run_that_a_gpu_began_is_ended_by_the_processor(
    gpu: torch.device, tmp_path: Path
) -> None:
    with pytest.raises(InterruptedRunError):
        trained(
            *("residual", tmp_path, Conditions(device=gpu)),
            progress=InterruptsIn("distil (joint)"),
        )
    found = trained("residual", tmp_path, Conditions())
    assert furthest(found, trained("residual", tmp_path / "whole", Conditions())) < 1e-3


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.recipe)
def test_features_on_the_gpu_in_memory_and_on_disk_have_the_same_bits(
    recipe: Distillation, gpu: torch.device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    conditions = Conditions(device=gpu)
    kept = trained("residual", tmp_path, conditions, recipe, "memory")
    assert equal(kept, trained("residual", tmp_path, conditions, recipe, "disk"))
    recomputed = trained("residual", tmp_path, conditions, recipe, "recompute")
    assert furthest(kept, recomputed) < 1e-4
    monkeypatch.setattr(kept_features, "free_on_gpu", lambda _: 0)
    assert equal(kept, trained("residual", tmp_path, conditions, recipe, "memory"))


@pytest.mark.parametrize("kind", ["residual", "tokens"])
@pytest.mark.parametrize("free", [0, 1 << 40])
def test_inputs_are_those_of_the_processor_to_the_last_bit(
    free: int, kind: str, gpu: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_inputs, "free_on_gpu", lambda _: free)
    inputs = SMALL_PAIRS[kind]().examples.inputs
    there = inputs_on(inputs, gpu)
    for which in (slice(3, 9), torch.tensor([5, 0, 23])):
        assert there[which].device == gpu
        assert there[which].stride() == inputs[which].stride()
        assert torch.equal(there[which].cpu(), inputs[which])


def test_standardized_values_are_those_of_the_processor_to_the_last_bit(gpu: torch.device) -> None:
    values = np.random.default_rng(0).standard_normal((50, 3, 7)).astype(np.float32)
    inputs = Standardization((0.1, 0.2, 0.3), (0.7, 1.1, 3.0)).inputs(values)
    assert torch.equal(inputs_on(inputs, gpu)[:].cpu(), inputs[:])


def test_images_are_augmented_as_on_the_processor(gpu: torch.device) -> None:
    table = AugmentationSettings(flip=True, crop=2, border="reflect", rotation=10)
    augmentation = Augmentation(table, torch.zeros(3))
    images = torch.rand(IMAGES, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    changes = augmentation.draw(IMAGES, torch.Generator().manual_seed(1))
    found = augmentation.apply(images.to(gpu), changes).cpu()
    assert torch.allclose(found, augmentation.apply(images, changes), atol=1e-5)


def test_augmented_training_repeats(gpu: torch.device, tmp_path: Path) -> None:
    table = AugmentationSettings(flip=True, crop=2, rotation=10)
    conditions = Conditions(Augmentation(table, torch.zeros(3)), device=gpu)
    found = trained("depthwise", tmp_path, conditions)
    assert equal(found, trained("depthwise", tmp_path, conditions))


@pytest.mark.parametrize("kind", ["residual", "tokens"])  # made by `build_model`, and by the test
def test_random_numbers_of_the_caller_stay_as_they_are(
    kind: str, gpu: torch.device, tmp_path: Path
) -> None:
    torch.rand(1, device=gpu)
    before = torch.cuda.get_rng_state(gpu)
    trained(kind, tmp_path, Conditions(device=gpu))
    assert torch.equal(torch.cuda.get_rng_state(gpu), before)


def test_a_head_is_trained_alone_at_first(gpu: torch.device, tmp_path: Path) -> None:
    pair = SMALL_PAIRS["residual"]()
    run = TrainingRun(0, tmp_path / "run", Silent(), Conditions(device=gpu))
    settings = TeacherSettings(epochs=1, head_epochs=1, **STEPS)
    with reproducible(1):
        train_teacher(pair.model.teacher, pair.examples, settings, run)
    assert not pair.model.teacher.training


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_profile_is_trained_there_and_its_model_is_on_the_processor(
    precision: str, gpu: torch.device, tmp_path: Path
) -> None:
    def settings(device: str) -> str:
        table = f'device = "{device}"\nprecision = "{precision}"\nthreads = 1\n\n[training.t'
        return TINY_PROFILE.replace("threads = 1\n\n[training.t", table)

    progress, right, files = SaidLines(), [], []
    for device, cache in (("cuda", "one"), ("cuda", "two"), ("cpu", "three")):
        scheduled = scheduled_model(
            settings_from(settings(device), tmp_path), tmp_path / cache, progress
        )
        model = scheduled.evaluated.model
        assert {tensor.device for tensor in model.state_dict().values()} == {CPU}
        assert not model.training
        right.append([each.top1 for each in scheduled.evaluated.accuracy])
        files.append({each.name: each.read_bytes() for each in (tmp_path / cache).rglob("model-*")})
    assert progress.lines.count(f"training on {torch.cuda.get_device_name(gpu)}") == 2
    assert files[0] == files[1] != {}
    assert right[0] == right[1]
    assert right[0] == pytest.approx(right[2], abs=0.1)


def one_step(classifier: nn.Module, gpu: torch.device, folder: Path) -> None:
    """A step of a teacher's training."""
    pair: SmallPair = SMALL_PAIRS["residual"]()
    network = BlockNet(nn.Conv2d(3, 4, 3), [nn.ReLU()], classifier)
    run = TrainingRun(0, folder / "run", Silent(), Conditions(device=gpu))
    with reproducible(1), gpu_errors(gpu):
        train_teacher(network, pair.examples, TeacherSettings(epochs=1, **STEPS), run)


class Greedy(nn.Module):
    def forward(self, features: Tensor) -> Tensor:
        return features.mean((2, 3)).repeat(1 << 30, 1 << 12)


class Careless(nn.Module):
    def forward(self, features: Tensor) -> Tensor:
        return features.mean((2, 3)) + torch.arange(4)


def test_a_full_memory_is_told_with_what_needs_less(gpu: torch.device, tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match=r"NVIDIA .* has too little memory") as caught:
        one_step(Greedy(), gpu, tmp_path)
    assert "lower batch_size" in caught.value.remedy


def upsampled_rows() -> nn.Module:
    wider = nn.Upsample(scale_factor=2, mode="linear")
    return nn.Sequential(nn.Flatten(2), wider, nn.Unflatten(2, (8, 9)))


@pytest.mark.parametrize(
    ("layers", "named"),
    [
        (lambda: nn.AdaptiveAvgPool2d(4), "adaptive_avg_pool2d_backward_cuda"),
        (lambda: nn.AdaptiveMaxPool2d(4), "adaptive_max_pool2d"),
        (lambda: nn.Upsample(scale_factor=2, mode="bicubic"), "upsample_bicubic2d"),
        (upsampled_rows, "upsample_linear1d"),
    ],
)
def test_a_layer_that_never_repeats_its_bits_is_named(
    layers: Callable[[], nn.Module], named: str, gpu: torch.device, tmp_path: Path
) -> None:
    last = nn.Sequential(layers(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, CLASSES))
    with pytest.raises(UsageError, match=named) as caught:
        one_step(last, gpu, tmp_path)
    assert 'device = "cpu"' in caught.value.remedy


def test_a_tensor_that_is_made_on_the_processor_is_told(gpu: torch.device, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a tensor on another device") as caught:
        one_step(Careless(), gpu, tmp_path)
    assert "device=x.device" in caught.value.remedy
