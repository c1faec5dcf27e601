"""Early metrics: how many of a few training images are labeled right while training goes on.

The test set has no part in them. The images are always the same ones, seen as they are (never
augmented), and the networks run in eval mode, as they would when they ship.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.data.batches import batches_of_inputs
from pipeline.model.blocknet import BlockNet
from pipeline.model.pwl import PwlModel
from pipeline.model.route import Route
from pipeline.settings import IGNORED
from pipeline.training.conditions import Examples
from pipeline.training.features import TeacherFeatures
from pipeline.training.recipes.paths import path_outputs
from pipeline.training.recipes.recipe import Batch

_MOST = 256
_SHARE = 8  # looking costs little beside an epoch: an eighth of the images forward, none backward


class EarlyImages:
    """The few images, taken evenly from all that there are.

    Args:
        examples: all that are trained on.
        device: where the networks are.
    """

    def __init__(self, examples: Examples, device: torch.device) -> None:
        count = max(1, min(_MOST, len(examples) // _SHARE))
        self._indices = torch.arange(count) * len(examples) // count
        self._images = examples.inputs[self._indices].to(device)
        self._labels = examples.labels[self._indices].to(device)
        self._metric = "cosine" if self._labels.is_floating_point() else "accuracy"

    @torch.no_grad()
    def of_network(self, network: BlockNet) -> dict[str, float]:
        """The share of right answers of a network in eval mode."""
        found = [self._answer(network(self._images[part])) for part in self._parts()]
        return {self._metric: self._right(found)}

    @torch.no_grad()
    def of_routes(
        self, model: PwlModel, features: TeacherFeatures, routes: Sequence[Route]
    ) -> dict[str, float]:
        """The share of right answers along some routes.

        Args:
            model: in eval mode.
            features: of its teacher and all training images.
            routes: in which the student has a part.
        """
        found = []
        for part in self._parts():
            teacher_outputs = features.batch(self._indices[part])
            batch = Batch(self._images[part], self._labels[part], teacher_outputs)
            outputs = path_outputs(model, routes, batch)
            found.append({route: self._answer(logits) for route, logits in outputs.items()})
        name = self._metric
        return {f"{name}/{r}": self._right([given[r] for given in found]) for r in routes}

    def _parts(self) -> Iterator[slice]:
        return batches_of_inputs(len(self._labels), self._images.shape[1:])

    def _answer(self, logits: Tensor) -> Tensor:
        """Labels; or embeddings as they are."""
        return logits if self._labels.is_floating_point() else logits.argmax(dim=1)

    def _right(self, found: Sequence[Tensor]) -> float:
        """The share of images, or of labeled pixels, whose label is that found, batch by batch; of
        embeddings the mean cosine to the teacher's.
        """
        if self._labels.is_floating_point():
            given, wanted = torch.cat([*found]), self._labels
            zeros = ~(given.any(dim=1) | wanted.any(dim=1))  # right where they are wanted
            return float((F.cosine_similarity(given, wanted) + zeros).mean())
        right = torch.cat([*found]) == self._labels
        if right.dim() > 1:
            right = right[self._labels != IGNORED]
        return float(right.float().mean())
