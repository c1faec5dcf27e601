"""Networks that give embeddings, as libraries write them, small."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.ingest.tokens import TokenNetwork
from tests.models.convolutional import ResNet
from tests.models.sequences import VOCABULARY, Text

WIDTH = 16


class MetricResNet(ResNet):
    """Vectors of length 1, as metric learning trains them."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(64, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        return F.normalize(super().forward(x), dim=1)


class SentenceEncoder(Text):
    """The mean over all tokens, of length 1."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Identity()

    def forward(self, tokens: Tensor) -> Tensor:
        return F.normalize(super().forward(tokens), dim=-1)


def sentence_encoder() -> TokenNetwork:
    """Reads tokens as floats, as one that comes in does."""
    return TokenNetwork(SentenceEncoder(), VOCABULARY)


class SoundEncoder(nn.Module):
    """As x-vectors: dilated convolutions over time, then mean and deviation over it."""

    def __init__(self) -> None:
        super().__init__()
        self.frames = nn.Sequential(
            *(nn.Conv1d(1, 16, 25, 4, 12), nn.ReLU(), nn.BatchNorm1d(16)),
            *(nn.Conv1d(16, 32, 3, 2, 2, dilation=2), nn.ReLU(), nn.BatchNorm1d(32)),
            *(nn.Conv1d(32, 32, 3, 1, 3, dilation=3), nn.ReLU(), nn.BatchNorm1d(32)),
        )
        self.embedding = nn.Linear(64, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        x = self.frames(x)
        return self.embedding(torch.cat([x.mean(2), x.std(2)], 1))
