"""Where a teacher's features are kept changes no bit of what is learned; no file outlives it."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

import pytest
import torch
from torch import Tensor

from pipeline.core.errors import DeviceError
from pipeline.core.progress import Silent
from pipeline.model.family import build_model
from pipeline.model.route import prefix_routes
from pipeline.settings import FeatureStorage, JointDistillation, ResNetModel, ResNetSettings
from pipeline.training import kept_features
from pipeline.training.conditions import Examples, TrainingRun
from pipeline.training.distill import distill
from pipeline.training.fit import reproducible
from pipeline.training.kept_features import FeatureKeeping
from tests.said_lines import SaidLines

IMAGES = torch.rand(40, 1, 8, 8, generator=torch.Generator().manual_seed(0))
NETWORK = ResNetModel(
    family="resnet",
    teacher=ResNetSettings(stem=6, widths=(6, 8), depths=(1, 1)),
    student=ResNetSettings(stem=4, widths=(4, 6), depths=(1, 1)),
)


def distilled(folder: Path, storage: FeatureStorage, progress: SaidLines) -> dict[str, Tensor]:
    model = build_model(NETWORK, (1, 8, 8), 10, seed=0)
    examples = Examples(IMAGES, torch.arange(40) % 10)
    recipe = JointDistillation(recipe="joint", epochs=1, batch_size=8, learning_rate=0.001)
    run = TrainingRun(0, folder / "cache" / "partial", progress)
    with reproducible(1):
        distill(model, examples, prefix_routes(2), recipe, run, storage=storage)
    return model.state_dict()


@pytest.fixture(scope="module")
def in_memory(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tensor]:
    return distilled(tmp_path_factory.mktemp("memory"), "memory", SaidLines())


@pytest.mark.parametrize(
    ("storage", "available", "said"),
    [("disk", 1 << 40, 0), ("auto", 1 << 40, 0), ("auto", 1000, 1), ("recompute", 0, 0)],
)
def test_weights_are_those_of_features_in_memory(
    storage: FeatureStorage,
    available: int,
    said: int,
    in_memory: dict[str, Tensor],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kept_features, "available_memory", lambda: available)
    progress = SaidLines()
    found = distilled(tmp_path, storage, progress)
    for name, tensor in in_memory.items():
        if storage == "recompute":  # of another number of images at once
            assert torch.allclose(found[name], tensor, atol=1e-4), name
        else:
            assert torch.equal(found[name], tensor), name
    assert len(progress.lines) == said
    if said:
        assert (
            f"1 kB of memory are available: they are kept in {tmp_path / 'cache'}"
            in (progress.lines[0])
        )
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("storage", ["memory", "disk"])
def test_features_keep_their_values_types_and_layout(
    storage: FeatureStorage, format: torch.memory_format, tmp_path: Path
) -> None:
    whole = torch.rand(7, 3, 4, 5).contiguous(memory_format=format)
    others = torch.rand(7, 6, dtype=torch.float64)
    batches = [(whole[part], others[part]) for part in (slice(0, 3), slice(3, 6), slice(6, 7))]
    place = FeatureKeeping(storage, tmp_path, Silent()).place_for(7, batches[0])
    for batch in batches:
        place.add(batch)
    assert [*tmp_path.iterdir()] == []  # no names: nothing is left by a process that is killed
    found = place.features()
    assert torch.equal(found[0], whole)
    assert torch.equal(found[1], others)
    assert found[0].stride() == torch.cat([whole[:3], whole[3:]]).stride()


def test_a_disk_without_room_is_told_before_features_are_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(DeviceError, match=r"take 4 MB.*: 1 kB are free") as caught:
        FeatureKeeping("disk", tmp_path, Silent()).place_for(10**6, [torch.zeros(1, 1)])
    assert 'teacher_features = "recompute"' in caught.value.remedy


def test_a_disk_that_fills_up_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def write(self, data: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(kept_features, "_nameless_file", lambda _: Full())
    place = FeatureKeeping("disk", tmp_path, Silent()).place_for(4, [torch.zeros(2, 3)])
    with pytest.raises(DeviceError, match="No space left on device"):
        place.add([torch.zeros(2, 3)])
