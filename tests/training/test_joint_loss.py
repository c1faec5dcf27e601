"""The joint recipe's loss against its formula, computed independently in NumPy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipeline.model.blocknet import BlockNet
from pipeline.model.pwl import PwlModel
from pipeline.model.route import Route, prefix_routes
from pipeline.settings import JointDistillation
from pipeline.training.recipes.recipe import Batch, random_mixed_route
from pipeline.training.recipes.recipe_registry import recipe_for
from tests.training.test_reference_loss import (
    BLOCKS,
    IMAGES,
    LABELS,
    SETTINGS,
    Array,
    along,
    divergence,
    images,
    model,
    softmax,
)

__all__ = ["images", "model"]  # fixtures

PARTS = ("alpha", "temperature", "cross_weight")
JOINT = JointDistillation(recipe="joint", epochs=1, **{name: SETTINGS[name] for name in PARTS})


def batch_of(model: PwlModel, images: Tensor) -> Batch:
    teacher_outputs: list[Tensor] = []
    features = images
    with torch.no_grad():
        for index in range(model.blocks):
            features = model.teacher.part(index)(features)
            teacher_outputs.append(features)
    return Batch(images, torch.from_numpy(LABELS), teacher_outputs)


def computed(
    model: PwlModel, images: Tensor, routes: Sequence[Route] | None, seed: int = 0
) -> dict[str, float]:
    generator = torch.Generator().manual_seed(seed)
    terms = recipe_for(JOINT, routes).loss(model, batch_of(model, images), generator)
    return {name: term.item() for name, term in terms.items()}


def expected(model: PwlModel, images: Tensor, mixed: Sequence[str]) -> dict[str, float]:
    """Cross entropy and divergence of the student, and their mean over the mixed routes."""
    inputs = images.numpy().astype(np.float64)
    target = along(model, "TTT", inputs)

    def path(logits: Array) -> float:
        hard = float(-np.log(softmax(logits)[np.arange(IMAGES), LABELS]).mean())
        return JOINT.alpha * hard + (1 - JOINT.alpha) * divergence(logits, target)

    crossing = np.mean([path(along(model, route, inputs)) for route in mixed])
    return {
        "student": path(along(model, "SSS", inputs)),
        "cross": JOINT.cross_weight * float(crossing),
    }


@pytest.mark.parametrize("mixed", [["TSS", "TTS"], ["TTS"], ["SST", "STT"]], ids=" ".join)
def test_every_path_that_will_ship_learns_from_labels_and_teacher(
    mixed: list[str], model: PwlModel, images: Tensor
) -> None:
    routes = [Route.parse(word) for word in ("SSS", *mixed, "TTT")]
    wanted = expected(model, images, mixed)
    assert computed(model, images, routes) == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize("seed", range(4))
def test_without_routes_to_serve_as_many_are_drawn_as_prefix_routes_are_mixed(
    seed: int, model: PwlModel, images: Tensor
) -> None:
    generator = torch.Generator().manual_seed(seed)
    drawn = {str(random_mixed_route(BLOCKS, generator)) for _ in range(BLOCKS - 1)}
    wanted = expected(model, images, sorted(drawn))
    assert computed(model, images, None, seed) == pytest.approx(wanted, rel=1e-4)


def test_each_student_block_normalizes_all_paths_together(images: Tensor) -> None:
    def network() -> BlockNet:
        blocks = [nn.Sequential(nn.BatchNorm1d(6), nn.Linear(6, 6)) for _ in range(BLOCKS)]
        return BlockNet(nn.Identity(), blocks, nn.Linear(6, 4))

    torch.manual_seed(5)
    nothing: list[nn.Module] = [nn.Identity() for _ in range(BLOCKS - 1)]
    model = PwlModel(network().eval(), network(), nothing, nothing)
    batch = batch_of(model, images)
    with torch.no_grad():
        first = model.student.part(0)(images)
    recipe_for(JOINT, prefix_routes(BLOCKS)).loss(model, batch, torch.Generator())
    # The second student block sees what its own first block and the teacher's gave, all at once.
    norm = model.student.get_submodule("blocks.1.0")
    assert isinstance(norm, nn.BatchNorm1d)
    mixture = torch.cat([first, batch.teacher_outputs[0]]).mean(dim=0)
    assert norm.num_batches_tracked == 1
    assert norm.running_mean is not None
    assert torch.allclose(norm.running_mean, 0.1 * mixture, atol=1e-6)
