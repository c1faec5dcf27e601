"""A model whose logits hold NaN has no accuracy and no logits to hand on."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipeline.core.errors import IntegrityError
from pipeline.core.progress import Silent
from pipeline.data.images import ImageSet
from pipeline.data.normalization import Normalization
from pipeline.evaluation.logits import route_logits
from pipeline.evaluation.predictions import predicted_labels
from pipeline.model.blocknet import BlockNet
from pipeline.model.route import Route
from pipeline.training.restore import require_restorable

ROUTES = [Route.parse("ST"), Route.parse("TT")]


def broken(value: float) -> Any:
    """A model whose teacher gives `value` for the second image of each batch."""

    def model(images: torch.Tensor, route: Route) -> torch.Tensor:
        logits = torch.zeros(len(images), 3)
        if route == ROUTES[1]:
            logits[1, 2] = value
        return logits

    return model


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_evaluating_it_names_the_route_and_keeps_nothing(value: float, tmp_path: Path) -> None:
    images = ImageSet(np.zeros((4, 2, 2, 1), np.uint8), np.zeros(4, np.int64))
    same = Normalization(mean=(0.0,), std=(1.0,))
    keep = tmp_path / "seen.safetensors"
    with pytest.raises(IntegrityError, match="route TT gives NaN or infinity for 1 of 4 images"):
        predicted_labels(broken(value), images, same, ROUTES, keep, Silent())
    assert not keep.with_stem("seen-TT").exists()
    sound = predicted_labels(broken(1.0), images, same, ROUTES, keep, Silent())
    assert sound.tolist() == [[0, 0, 0, 0], [0, 2, 0, 0]]


def test_its_logits_are_not_written() -> None:
    with pytest.raises(IntegrityError, match="route TT gives NaN"):
        route_logits(broken(torch.nan), torch.zeros(4, 1, 2, 2), ROUTES, Silent())


class Standardized(nn.Module):
    """Divides by the deviation of each image, which plain gray has none of."""

    def forward(self, x: Tensor) -> Tensor:
        return x / x.std((1, 2, 3), keepdim=True)


def test_a_network_may_answer_plain_gray_with_nan() -> None:
    head = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    trained = BlockNet(nn.Identity(), [Standardized()], head).eval()
    require_restorable(trained, deepcopy(trained), (1, 4, 4), "mine")
