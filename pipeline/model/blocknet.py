"""BlockNet: the shape that teacher and student share, so that their blocks can be exchanged."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class BlockNet(nn.Module):
    """An embedder, N blocks and a classifier, run one after the other.

    Args:
        embedder: images ``[n, channels, height, width]`` to the first block's input.
        blocks: N modules; each takes the output of the one before.
        classifier: the last block's output to logits ``[n, classes]``.
    """

    def __init__(
        self, embedder: nn.Module, blocks: Sequence[nn.Module], classifier: nn.Module
    ) -> None:
        super().__init__()
        if not blocks:
            raise ValueError("a BlockNet needs at least one block")
        self.embedder = embedder
        self.blocks = nn.ModuleList(blocks)
        self.classifier = classifier

    def __len__(self) -> int:
        return len(self.blocks)

    def part(self, index: int) -> nn.Module:
        """Block `index` as it ships, sharing its parameters with this network.

        The embedder is fused into the first block, the classifier into the last.
        """
        modules = [self.blocks[index]]
        if index == 0 and not isinstance(self.embedder, nn.Identity):
            modules.insert(0, self.embedder)
        if index == len(self) - 1:
            modules.append(self.classifier)
        if len(modules) == 1:
            return modules[0]
        joined = nn.Sequential(*modules)
        joined.training = self.training
        return joined

    def forward(self, images: Tensor) -> Tensor:
        """Logits ``[n, classes]`` of images ``[n, channels, height, width]``."""
        features = self.embedder(images)
        for block in self.blocks:
            features = block(features)
        logits: Tensor = self.classifier(features)
        return logits

    def boundaries(self, input_shape: tuple[int, ...]) -> list[tuple[int, ...]]:
        """The shape (without the batch axis) of every block's output, by running one blank image.

        Args:
            input_shape: channels, height, width of one image.
        """
        was_training = self.training
        self.eval()
        shapes: list[tuple[int, ...]] = []
        with torch.no_grad():
            device = next((parameter.device for parameter in self.parameters()), None)
            features = self.embedder(torch.zeros(1, *input_shape, device=device))
            for block in self.blocks:
                features = block(features)
                shapes.append(tuple(features.shape[1:]))
        self.train(was_training)
        return shapes
