from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.ingest.reference.model import read_reference
from pipeline.model.route import Route
from pipeline.progress import Silent
from tests.ingest.reference_twin import Twin, resnet_config, twin, vgg_config, vit_config

#: By family: the configuration, what makes a deeper teacher of it, and what makes it a wider one.
FAMILIES: dict[str, tuple[Callable[..., Any], dict[str, Any], dict[str, Any]]] = {
    "resnet": (
        resnet_config,
        {"depths": [3, 2, 1, 2]},
        {"embedding_size": 9, "hidden_sizes": [8, 6, 16, 12]},
    ),
    "vgg": (vgg_config, {"depths": [2, 1, 3, 1, 2]}, {"hidden_sizes": [8, 6, 12, 10, 12]}),
    "vit": (
        vit_config,
        {"layers_per_block": 2},
        {"hidden_size": 24, "intermediate_size": 40, "num_attention_heads": 4},
    ),
}
SIZES = {"resnet": (20, 28), "vgg": (32, 40), "vit": (16, 16)}


def pair(family: str, *, narrow: bool, **changes: Any) -> Twin:
    """A twin whose teacher is deeper, and wider too where the student is narrow."""
    config, deeper, wider = FAMILIES[family]
    return twin(config(**deeper, **(wider if narrow else {}), **changes), config(**changes))


def images(family: str, channels: int = 3) -> torch.Tensor:
    return torch.randn(2, channels, *SIZES[family], generator=torch.Generator().manual_seed(1))


def farthest(made: Twin, folder: Path, inputs: torch.Tensor) -> float:
    """The largest difference over the largest logit, on any route."""
    model = read_reference(str(folder), Silent()).model
    worst = 0.0
    for route in made.routes:
        expected = made.logits(inputs, route)
        with torch.no_grad():
            found = model(inputs, Route.parse(route))
        worst = max(worst, float((found - expected).abs().max() / expected.abs().max()))
    return worst


@pytest.mark.parametrize("transformers", [4, 5])
@pytest.mark.parametrize("narrow", [False, True], ids=["equal", "narrow"])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_logits_of_every_route_are_the_reference_s(
    family: str, narrow: bool, transformers: int, tmp_path: Path
) -> None:
    made = pair(family, narrow=narrow)
    assert len(made.routes) == 2 ** {"resnet": 4, "vgg": 5, "vit": 6}[family]
    folder = made.save(tmp_path / "checkpoint-7", transformers)
    assert farthest(made, folder, images(family)) < 1e-5
