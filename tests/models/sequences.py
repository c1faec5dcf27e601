"""Networks of sounds and texts."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pipeline.ingest.tokens import TokenNetwork

#: What they read: a sound of one channel, and a text of so many of so many tokens.
SOUND, TEXT, VOCABULARY = (1, 512), (16,), 60


def sound_network() -> nn.Sequential:
    """As M5: a long first convolution over samples, short ones after it, each with a pooling."""

    def layer(source: int, target: int, kernel: int, stride: int) -> nn.Sequential:
        convolution = nn.Conv1d(source, target, kernel, stride, kernel // 2)
        return nn.Sequential(convolution, nn.BatchNorm1d(target), nn.ReLU(), nn.MaxPool1d(2))

    head = nn.Sequential(nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(32, 6))
    return nn.Sequential(layer(1, 8, 25, 4), layer(8, 16, 3, 1), layer(16, 32, 3, 1), head)


class Text(nn.Module):
    """A classifier of texts, int64 ``[n, 16]``, in PyTorch's own layers."""

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        self.words = nn.Embedding(VOCABULARY, width, padding_idx=0)
        self.places = nn.Parameter(torch.randn(*TEXT, width))
        layers = (nn.TransformerEncoderLayer(width, 4, 48, batch_first=True) for _ in range(2))
        self.layers = nn.ModuleList(layers)
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 6)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.words(tokens) + self.places
        for layer in self.layers:
            x = layer(x)
        return self.head(self.norm(x).mean(1))


def text_network() -> TokenNetwork:
    """Reads tokens as floats, as one that comes in does."""
    return TokenNetwork(Text(), VOCABULARY)
