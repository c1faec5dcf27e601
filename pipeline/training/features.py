"""What a frozen teacher says about the training images: every block's output."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pipeline.data.batches import batches_of_inputs
from pipeline.data.normalization import Inputs
from pipeline.model.blocknet import BlockNet


class TeacherFeatures:
    """The outputs of every teacher part for any batch of images, kept where memory allows.

    Args:
        teacher: used in eval mode and never trained.
        inputs: normalized images.
        cache_mb: keep all features if they take no more than this, else compute batch by batch;
            0 keeps none.
    """

    def __init__(self, teacher: BlockNet, inputs: Inputs, cache_mb: int) -> None:
        self._teacher = teacher.eval()
        self._inputs = inputs
        self._device = next(teacher.parameters()).device
        self._shape = tuple(inputs[:1].shape[1:])
        shapes = teacher.boundaries(self._shape)
        size_mb = 4 * len(inputs) * sum(math.prod(shape) for shape in shapes) / 1e6
        self._cache: list[Tensor] | None = self._everything() if size_mb <= cache_mb else None

    def batch(self, indices: Tensor) -> list[Tensor]:
        """Per part the output for images `indices`; the last one is the logits ``[n, classes]``."""
        if self._cache is not None:
            return [outputs[indices] for outputs in self._cache]
        return self.of(self._inputs[indices])

    def _everything(self) -> list[Tensor]:
        parts = batches_of_inputs(len(self._inputs), self._shape)
        batches = [self.of(self._inputs[part]) for part in parts]
        return [torch.cat(outputs) for outputs in zip(*batches, strict=True)]

    @torch.no_grad()
    def of(self, images: Tensor) -> list[Tensor]:
        """Per part the output for any images, such as augmented ones; nothing is kept."""
        outputs: list[Tensor] = []
        features = images.to(self._device)
        for index in range(len(self._teacher)):
            features = self._teacher.part(index)(features)
            outputs.append(features)
        return outputs
