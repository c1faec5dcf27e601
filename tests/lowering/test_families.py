from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from pipeline.lowering.fold import fold_batch_norms
from pipeline.lowering.golden import GoldenSet
from pipeline.lowering.lower import lower_model
from pipeline.lowering.registry import backend_for
from pipeline.model.family import build_model
from pipeline.model.pwl import PwlModel
from pipeline.model.route import prefix_routes
from pipeline.model.vit import PatchEmbedding
from pipeline.progress import Silent
from pipeline.settings import (
    BackendName,
    LoweringSettings,
    VggModel,
    VggSettings,
    VitModel,
    VitSettings,
)

BACKENDS: tuple[BackendName, ...] = ("executorch", "litert")
IMAGE = (1, 8, 8)


def vgg() -> PwlModel:
    settings = VggModel(
        family="vgg",
        teacher=VggSettings(widths=(8, 12), depths=(2, 1)),
        student=VggSettings(widths=(4, 6), depths=(1, 1)),
    )
    return build_model(settings, IMAGE, classes=5, seed=1).eval()


def vit() -> PwlModel:
    settings = VitModel(
        family="vit",
        teacher=VitSettings(patch=4, width=24, heads=3, depths=(2, 1)),
        student=VitSettings(patch=4, width=16, heads=2, depths=(1, 1)),
    )
    return build_model(settings, IMAGE, classes=5, seed=1).eval()


@pytest.mark.parametrize("make", [vgg, vit])
@pytest.mark.parametrize("backend", BACKENDS)
def test_every_unit_and_stage_lowers_whole_and_computes_the_same(
    make: Callable[[], PwlModel], backend: BackendName, tmp_path: Path
) -> None:
    model = make()
    settings = LoweringSettings(backend=(backend,), tolerance=1e-5)
    # A unit that is not one delegate, or that deviates, would be an error here.
    golden = GoldenSet.of(model, prefix_routes(2), torch.randn(2, *IMAGE), settings.tolerance)
    lowered = lower_model(model, golden, settings, {}, tmp_path, Silent(), jobs=1)
    names = {str(unit) for unit in lowered.units}
    assert names == {"student-0", "student-1", "teacher-0", "teacher-1", "encoder-0"}
    for program in [*lowered.units.values(), *lowered.controls.values()]:
        assert program.delegated == sum(program.operators.values()) > 0
    assert max(stage.parity.max_rel for stage in lowered.stages) < 1e-5


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("channels", [1, 3])
def test_patches_of_any_channels_are_cut_in_the_order_of_the_edges(
    channels: int, backend: BackendName
) -> None:
    torch.manual_seed(0)
    embedding = nn.Sequential(PatchEmbedding(channels, 12, 4, 6)).eval()
    images = torch.randn(2, channels, 8, 12)
    target = backend_for(LoweringSettings(backend=(backend,)))
    folded = fold_batch_norms(target.rewrite(embedding, "unit"), "unit")
    program = target.lower(folded, images[:1], "unit")
    with torch.no_grad():
        assert torch.allclose(target.run([program.data], images), embedding(images), atol=1e-5)
