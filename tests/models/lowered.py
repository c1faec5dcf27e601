"""Networks of the table on a backend."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pipeline.ingest.channels_last import boundaries_channels_last, turned
from pipeline.lowering.capture import capture
from pipeline.lowering.refusal import NotLoweredError
from pipeline.lowering.registry import backend_for
from pipeline.lowering.untrained import randomized
from pipeline.model.blocknet import BlockNet
from pipeline.model.pwl import PwlModel
from pipeline.settings import BackendName, LoweringSettings

#: Relative to the largest output.
EXACT = 1e-5


def is_lowered(
    network: BlockNet, images: Tensor, backend: BackendName, blocks: int | None = None
) -> bool:
    """Whether a backend lowers blocks whole; False where it refuses one by name.

    Args:
        network: as `tests.models.table.cut` gives it.
        images: two, or other inputs.
        backend: to lower with.
        blocks: how many of the first; all by default.

    Raises:
        AssertionError: what was lowered computes something else.
    """
    target = backend_for(LoweringSettings(backend=(backend,)))
    network = as_ingested(network, images)
    features = images
    for index in range(len(network) if blocks is None else blocks):
        module = network.part(index)
        with torch.no_grad():
            expected = module(features)
        try:
            graph = capture(module, features[:1], f"block-{index}")
            program = target.lower(graph, features[:1], f"block-{index}")
        except NotLoweredError:
            return False
        far = (target.run([program.data], features) - expected).abs().max()
        assert far <= EXACT * expected.abs().max(), (backend, index, far)
        features = expected
    return True


@torch.no_grad()
def as_ingested(network: BlockNet, images: Tensor) -> BlockNet:
    """Its features turned as those of a model that comes in; none of its weights is neutral."""
    features = network.embedder(images)
    outputs = [features := block(features) for block in network.blocks]
    outputs.append(network.classifier(features))
    made = turned(network, boundaries_channels_last(outputs, outputs, images))
    none = [nn.Identity() for _ in range(len(made) - 1)]
    return randomized(PwlModel(made, made, none, none)).teacher
