"""What families are made of, lowered; all of them run in tests/test_other_models_end_to_end.py."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pipeline.lowering.capture import capture
from pipeline.lowering.registry import backend_for
from pipeline.model.vit import PatchEmbedding
from pipeline.settings import BackendName, LoweringSettings

BACKENDS: tuple[BackendName, ...] = ("executorch", "litert")


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("channels", [1, 3])
def test_patches_of_any_channels_are_cut_in_the_order_of_the_edges(
    channels: int, backend: BackendName
) -> None:
    torch.manual_seed(0)
    embedding = nn.Sequential(PatchEmbedding(channels, 12, 4, 6)).eval()
    images = torch.randn(2, channels, 8, 12)
    target = backend_for(LoweringSettings(backend=(backend,)))
    program = target.lower(capture(embedding, images[:1], "unit"), images[:1], "unit")
    with torch.no_grad():
        assert torch.allclose(target.run([program.data], images), embedding(images), atol=1e-5)
