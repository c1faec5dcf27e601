from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from pipeline.core.errors import DeviceError, IntegrityError, UsageError
from pipeline.core.freed_memory import filled_memory, unfilled_memory
from pipeline.core.progress import Silent, Task
from pipeline.model.checkpoint import save_tensors
from pipeline.settings import OptimizerSettings
from pipeline.training.fit import Phase, fit, reproducible, require_batch
from pipeline.training.processes import Processes

IMAGES = torch.randn(32, 4, generator=torch.Generator().manual_seed(0))
LABELS = (IMAGES.sum(dim=1) > 0).long()


def network() -> nn.Module:
    torch.manual_seed(1)
    inner = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.1))
    return nn.Sequential(*inner, nn.Linear(8, 2))


def train(
    module: nn.Module, checkpoint: Path, progress: Silent | None = None, **settings: object
) -> None:
    options = OptimizerSettings.model_validate({"epochs": 6, "batch_size": 8, **settings})

    def step(indices: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        noise = torch.randn(len(indices), 4, generator=generator) * 0.01
        logits = module(IMAGES[indices] + noise)
        return {"loss": nn.functional.cross_entropy(logits, LABELS[indices])}

    phase = Phase("test", "test", module, [(list(module.parameters()), 1.0)], 32, 3, checkpoint)
    fit(phase, options, step, progress or Silent())


class InterruptedRunError(Exception):
    pass


class InterruptsAfter(Silent):
    """Ends the training from within, as Ctrl-C would, when some epochs are done."""

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs

    @contextmanager
    def task(self, title: str, total: float) -> Iterator[Task]:
        outer = self

        class Counting:
            epochs = 0

            def advance(self, amount: float = 1, note: str = "") -> None:
                if note.startswith("epoch"):
                    self.epochs += 1
                elif self.epochs == outer.epochs:
                    raise InterruptedRunError

        yield Counting()


def equal(first: nn.Module, second: nn.Module) -> bool:
    state = second.state_dict()
    return all(torch.equal(tensor, state[name]) for name, tensor in first.state_dict().items())


def test_it_learns(tmp_path: Path) -> None:
    module = network()
    train(module, tmp_path / "checkpoint", epochs=20)
    assert not module.training
    assert (module(IMAGES).argmax(dim=1) == LABELS).float().mean() > 0.9


@pytest.mark.parametrize("schedule", ["one-cycle", "cosine"])
@pytest.mark.parametrize("epochs", [1, 4])
def test_an_interrupted_run_ends_with_the_weights_of_an_uninterrupted_one(
    tmp_path: Path, epochs: int, schedule: str
) -> None:
    whole, broken, resumed = network(), network(), network()
    train(whole, tmp_path / "whole", schedule=schedule)
    with pytest.raises(InterruptedRunError):
        train(broken, tmp_path / "checkpoint", InterruptsAfter(epochs), schedule=schedule)
    with torch.no_grad():
        for parameter in resumed.parameters():
            parameter.zero_()  # whatever it held, the checkpoint counts
    train(resumed, tmp_path / "checkpoint", schedule=schedule)
    assert equal(whole, resumed)
    assert not equal(whole, network())


@pytest.mark.parametrize("epochs", range(1, 7))
def test_runs_of_few_steps_have_a_schedule_too(epochs: int, tmp_path: Path) -> None:
    module = network()
    train(module, tmp_path / "checkpoint", epochs=epochs, batch_size=32)
    assert not equal(module, network())


def steps_of(
    schedule: str, folder: Path, *, epochs: int, batches: int, **others: float | None
) -> list[list[float]]:
    """How far two weights go at each step down a slope of 1; the second one's rate is a fifth."""
    weights = [nn.Parameter(torch.zeros((), dtype=torch.float64)) for _ in range(2)]
    seen: list[list[float]] = []

    def step(indices: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        seen.append([weight.item() for weight in weights])
        return {"loss": weights[0] + weights[1]}

    settings = OptimizerSettings(
        **{"epochs": epochs, "batch_size": 2, "learning_rate": 0.1, "schedule": schedule},
        **{"momentum": 1e-12, "weight_decay": 0, "nesterov": False, **others},
    )
    groups = [([weights[0]], 1.0), ([weights[1]], 0.2)]
    images = 2 * batches + 1  # the last batch would not be whole
    phase = Phase("test", "test", nn.ParameterList(weights), groups, images, 0, folder / "c")
    fit(phase, settings, step, Silent())
    seen.append([weight.item() for weight in weights])
    return [[b - a for a, b in zip(x, y, strict=True)] for x, y in pairwise(seen)]


def fall(high: float, low: float, share: float) -> float:
    return low + (high - low) * (1 + math.cos(math.pi * share)) / 2


@pytest.mark.parametrize(("given", "floor"), [(None, 1e-5), (0.0, 0.0), (0.01, 0.01)])
def test_a_cosine_falls_to_its_floor_in_every_group_over_all_steps(
    given: float | None, floor: float, tmp_path: Path
) -> None:
    steps = steps_of("cosine", tmp_path, epochs=2, batches=5, min_learning_rate=given)
    for group, highest in enumerate([0.1, 0.02]):
        wanted = [fall(highest, floor, k / 10) for k in range(10)]
        assert [-step[group] for step in steps] == pytest.approx(wanted)


def test_the_floor_of_a_slow_cosine_is_a_twentieth_of_its_rate() -> None:
    settings = OptimizerSettings(epochs=1, learning_rate=1e-4, schedule="cosine")
    assert settings.cosine_floor == pytest.approx(5e-6)


def test_one_cycle_rises_from_a_tenth_for_a_fifth_of_all_steps_and_falls_to_a_thousandth(
    tmp_path: Path,
) -> None:
    steps = steps_of("one-cycle", tmp_path, epochs=2, batches=12)
    # 24 steps: four up, twenty down.
    wanted = [fall(0.01, 0.1, k / 4) for k in range(4)]
    wanted += [fall(0.1, 0.0001, k / 20) for k in range(20)]
    assert [-first for first, _ in steps] == pytest.approx(wanted)
    assert [-second for _, second in steps] == pytest.approx([rate / 5 for rate in wanted])


def test_a_module_that_comes_in_eval_mode_is_trained_in_training_mode(tmp_path: Path) -> None:
    module = network().eval()
    train(module, tmp_path / "checkpoint", epochs=1)
    assert module.get_buffer("1.num_batches_tracked") == 4


def test_random_numbers_of_the_caller_stay_as_they_are(tmp_path: Path) -> None:
    module = network()
    before = torch.get_rng_state()
    with reproducible(1):
        train(module, tmp_path / "checkpoint")
    assert torch.equal(torch.get_rng_state(), before)


def test_a_finished_run_leaves_no_checkpoint(tmp_path: Path) -> None:
    train(network(), tmp_path / "checkpoint")
    assert not any(tmp_path.iterdir())


def test_a_checkpoint_that_cannot_be_written_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def full(*_: object, **__: object) -> None:
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("pipeline.model.checkpoint.save_file", full)
    with pytest.raises(DeviceError, match=r"run: cannot be written: .*No space left") as caught:
        save_tensors(tmp_path / "run", {}, {})
    assert "make room" in caught.value.remedy
    assert not any(tmp_path.iterdir())


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    with pytest.raises(InterruptedRunError):
        train(network(), path, InterruptsAfter(2))
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(IntegrityError, match="checkpoint"):
        train(network(), path)


def test_a_checkpoint_of_another_model_is_refused_by_name_of_its_parts(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    with pytest.raises(InterruptedRunError):
        train(network(), path, InterruptsAfter(2))
    with pytest.raises(IntegrityError, match=r"missing 2\.bias"):
        train(nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2), nn.Linear(2, 2)), path)


def test_a_diverging_run_is_stopped_with_advice(tmp_path: Path) -> None:
    module = nn.Linear(4, 2)
    with pytest.raises(UsageError, match="the loss is") as caught:
        train(module, tmp_path / "checkpoint", learning_rate=1e30, epochs=50)
    assert "learning_rate" in caught.value.remedy


@pytest.mark.parametrize("loss", [math.inf, -math.inf, math.nan])
def test_a_loss_that_is_not_finite_changes_no_weight(loss: float, tmp_path: Path) -> None:
    weight = nn.Parameter(torch.tensor(1.0))
    module = nn.ParameterList([weight])
    phase = Phase("test", "test", module, [([weight], 1.0)], 4, 0, tmp_path / "checkpoint")
    settings = OptimizerSettings(epochs=2, batch_size=4)
    with pytest.raises(UsageError, match="the loss is"):
        fit(phase, settings, lambda *_: {"loss": weight * loss}, Silent())
    assert weight.item() == 1.0


def batches_seen(folder: Path, images: int, **settings: object) -> list[list[int]]:
    """The images of every step of two epochs in batches of 4."""
    weight = nn.Parameter(torch.tensor(1.0))
    seen: list[list[int]] = []

    def step(indices: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        seen.append(indices.tolist())
        return {"loss": weight**2}

    options = OptimizerSettings.model_validate({"epochs": 2, "batch_size": 4, **settings})
    module = nn.ParameterList([weight])
    fit(
        Phase("test", "test", module, [([weight], 1.0)], images, 0, folder), options, step, Silent()
    )
    return seen


def test_a_last_batch_that_is_kept_holds_the_images_that_are_left(tmp_path: Path) -> None:
    seen = batches_seen(tmp_path / "checkpoint", 10, drop_last=False)
    assert [len(batch) for batch in seen] == [4, 4, 2] * 2
    for epoch in (seen[:3], seen[3:]):
        assert sorted(image for batch in epoch for image in batch) == list(range(10))


def test_a_last_batch_that_is_dropped_leaves_out_other_images_in_every_epoch(
    tmp_path: Path,
) -> None:
    seen = batches_seen(tmp_path / "checkpoint", 10, drop_last=True)
    assert [len(batch) for batch in seen] == [4, 4] * 2
    first, second = ({image for batch in seen[i : i + 2] for image in batch} for i in (0, 2))
    assert first != second


def test_images_that_fill_all_batches_make_no_further_one(tmp_path: Path) -> None:
    seen = batches_seen(tmp_path / "checkpoint", 8, drop_last=False)
    assert [len(batch) for batch in seen] == [4, 4] * 2


def test_fewer_images_than_a_batch_are_one_batch_where_it_is_kept(tmp_path: Path) -> None:
    assert [len(batch) for batch in batches_seen(tmp_path / "c", 3, drop_last=False)] == [3, 3]


def test_an_interrupted_run_with_partial_batches_ends_with_the_same_weights(
    tmp_path: Path,
) -> None:
    partial = {"batch_size": 12, "drop_last": False, "schedule": "cosine"}
    whole, broken = network(), network()
    train(whole, tmp_path / "whole", **partial)
    with pytest.raises(InterruptedRunError):
        train(broken, tmp_path / "checkpoint", InterruptsAfter(3), **partial)
    train(broken, tmp_path / "checkpoint", **partial)
    assert equal(whole, broken)


def test_a_last_batch_of_one_image_that_cannot_be_normalized_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="last batch of an epoch is a single image") as caught:
        train(network(), tmp_path / "checkpoint", batch_size=31, drop_last=False)
    assert "drop_last = true" in caught.value.remedy


def test_a_last_batch_that_processes_cannot_divide_is_refused() -> None:
    settings = OptimizerSettings(epochs=1, batch_size=4, drop_last=False)
    with pytest.raises(UsageError, match=r"has 3 images .* cannot be divided among 2") as caught:
        require_batch(settings, 11, Processes(0, 2))
    assert "drop_last = true" in caught.value.remedy
    require_batch(settings, 10, Processes(0, 2))
    require_batch(settings.model_copy(update={"drop_last": True}), 11, Processes(0, 2))


def test_too_few_images_for_a_batch_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="32 training images do not fill a batch of 64"):
        train(network(), tmp_path / "checkpoint", batch_size=64)


def test_reproducible_leaves_torch_as_it_was() -> None:
    before = torch.get_num_threads()
    with reproducible(1):
        assert torch.get_num_threads() == 1
        assert torch.are_deterministic_algorithms_enabled()
        assert not torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    assert torch.get_num_threads() == before
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]


@pytest.mark.parametrize("strict", [False, True])
def test_memory_that_nothing_was_written_into_shows_where_that_is_looked_for(strict: bool) -> None:
    torch.use_deterministic_algorithms(strict)
    try:
        with unfilled_memory(), filled_memory():
            assert torch.empty(7).isnan().all()
            assert torch.zeros(3).new_empty(2, 2).isnan().all()
            assert torch.are_deterministic_algorithms_enabled()
        assert torch.are_deterministic_algorithms_enabled() is strict
        assert not torch.is_deterministic_algorithms_warn_only_enabled()
        assert torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    finally:
        torch.use_deterministic_algorithms(False)


def test_the_end_of_a_cosine_is_refused_where_there_is_none() -> None:
    with pytest.raises(ValueError, match="min_learning_rate is where a cosine ends"):
        OptimizerSettings(epochs=1, min_learning_rate=1e-5)
    with pytest.raises(ValueError, match=r"min_learning_rate 1.0 is above learning_rate 0.05"):
        OptimizerSettings(epochs=1, min_learning_rate=1.0, schedule="cosine")


def test_a_bound_on_the_gradients_bounds_the_first_step(tmp_path: Path) -> None:
    module, start = network(), network()
    train(
        module,
        tmp_path / "checkpoint",
        epochs=1,
        batch_size=32,
        weight_decay=0,
        gradient_norm=1e-3,
        schedule="cosine",
        learning_rate=1.0,
    )
    moved = sum(
        float((after.detach() - before.detach()).square().sum())
        for after, before in zip(module.parameters(), start.parameters(), strict=True)
    )
    # Nesterov's first step is (1 + momentum) times the gradient.
    assert moved**0.5 == pytest.approx(1.9e-3, rel=1e-2)
