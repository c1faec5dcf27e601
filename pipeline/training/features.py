"""What a frozen teacher says about the training images: every block's output."""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.data.batches import batches_of_inputs
from pipeline.data.normalization import Inputs
from pipeline.data.transfer import moved
from pipeline.model.blocknet import BlockNet
from pipeline.training.kept_features import FeatureKeeping


class TeacherFeatures:
    """The outputs of every teacher part for any batch of images, computed once where they are kept.

    Kept in memory or on disk, they have the same bits. Those that are computed for each batch may
    differ in the last ones, for sums depend on how many images are computed together.

    Args:
        teacher: used in eval mode and never trained.
        inputs: normalized images.
        keeping: where they are kept; None: nowhere, or as it says.

    Raises:
        DeviceError: there is no room for them.
    """

    def __init__(
        self, teacher: BlockNet, inputs: Inputs, keeping: FeatureKeeping | None = None
    ) -> None:
        self._teacher = teacher.eval()
        self._inputs = inputs
        self._device = next(teacher.parameters()).device
        self._kept: list[Tensor] | None = None
        if keeping is not None and keeping.storage != "recompute":
            self._kept = self._everything(keeping)

    def batch(self, indices: Tensor) -> list[Tensor]:
        """Per part the output for images `indices`; the last one is the logits ``[n, classes]``."""
        if self._kept is None:
            return self.of(self._inputs[indices])
        chosen = moved(indices, self._kept[0].device)
        return [moved(outputs[chosen], self._device) for outputs in self._kept]

    def _everything(self, keeping: FeatureKeeping) -> list[Tensor]:
        count, place = len(self._inputs), None
        with keeping.progress.task("teacher's features", total=count) as task:
            for part in batches_of_inputs(count, self._inputs[:1].shape[1:]):
                outputs = self.of(self._inputs[part])
                place = place or keeping.place_for(count, outputs)
                place.add(outputs)
                task.advance(len(outputs[0]))
        assert place is not None  # there are images
        return place.features()

    @torch.no_grad()
    def of(self, images: Tensor) -> list[Tensor]:
        """Per part the output for any images, such as augmented ones; nothing is kept."""
        outputs: list[Tensor] = []
        features = moved(images, self._device)
        for index in range(len(self._teacher)):
            features = self._teacher.part(index)(features)
            outputs.append(features)
        return outputs
