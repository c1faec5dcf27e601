"""The ViT family: pre-norm encoder layers on image patches (Dosovitskiy et al., arXiv 2010.11929).

As in the reference implementation of arXiv 2509.22319, the classifier reads token 0 of the last
block without a final layer normalization.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.core.errors import UsageError
from pipeline.model.blocknet import BlockNet
from pipeline.settings import VitSettings

_SPREAD = 0.02  # standard deviation of a fresh class token and of fresh positions


class PatchEmbedding(nn.Module):
    """Images to tokens: a linear map of every patch, a class token before them, and positions.

    Args:
        channels: of the images.
        width: of a token.
        patch: height and width of a patch.
        patches: their number.
    """

    def __init__(self, channels: int, width: int, patch: int, patches: int) -> None:
        super().__init__()
        self.projection = nn.Conv2d(channels, width, kernel_size=patch, stride=patch)
        self.class_token = nn.Parameter(torch.randn(1, 1, width) * _SPREAD)
        self.positions = nn.Parameter(torch.randn(1, patches + 1, width) * _SPREAD)

    def forward(self, images: Tensor) -> Tensor:
        """Tokens ``[n, patches + 1, width]`` of images ``[n, channels, height, width]``."""
        patches = self.projection(images).flatten(2).transpose(1, 2)
        first = self.class_token.expand(patches.shape[0], -1, -1)
        return torch.cat([first, patches], dim=1) + self.positions


class Attention(nn.Module):
    """Multi-head self-attention among the tokens of an image.

    Args:
        width: of a token.
        heads: among which it is shared out.
        qkv_bias: whether queries, keys and values have biases.
    """

    def __init__(self, width: int, heads: int, *, qkv_bias: bool = True) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width, bias=qkv_bias)
        self.key = nn.Linear(width, width, bias=qkv_bias)
        self.value = nn.Linear(width, width, bias=qkv_bias)
        self.output = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens ``[n, tokens, width]`` to tokens of the same shape."""
        query, key, value = (
            project(tokens).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for project in (self.query, self.key, self.value)
        )
        mixed = F.scaled_dot_product_attention(query, key, value)
        outputs: Tensor = self.output(mixed.transpose(1, 2).flatten(2))
        return outputs


class EncoderLayer(nn.Module):
    """Attention and a two-layer perceptron, each behind a normalization and beside a shortcut."""

    def __init__(
        self,
        width: int,
        heads: int,
        hidden: int,
        *,
        qkv_bias: bool = True,
        epsilon: float = 1e-12,
    ) -> None:
        super().__init__()
        self.first_norm = nn.LayerNorm(width, eps=epsilon)
        self.attention = Attention(width, heads, qkv_bias=qkv_bias)
        self.second_norm = nn.LayerNorm(width, eps=epsilon)
        self.expand = nn.Linear(width, hidden)
        self.reduce = nn.Linear(hidden, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens ``[n, tokens, width]`` to tokens of the same shape."""
        tokens = tokens + self.attention(self.first_norm(tokens))
        changed: Tensor = self.reduce(F.gelu(self.expand(self.second_norm(tokens))))
        return tokens + changed


class ClassTokenLinear(nn.Module):
    """A linear classifier of token 0."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, classes)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits ``[n, classes]`` of tokens ``[n, tokens, width]``."""
        logits: Tensor = self.linear(tokens[:, 0])
        return logits


def vit(settings: VitSettings, image_shape: tuple[int, int, int], classes: int) -> BlockNet:
    """A freshly initialized network, whose features are tokens ``[n, patches + 1, width]``.

    Args:
        settings: widths, heads, depths, patch size.
        image_shape: channels, height, width of one image.
        classes: number of labels.

    Raises:
        UsageError: the patches do not tile the image.
    """
    channels, height, width = image_shape
    patch = settings.patch
    if height % patch or width % patch:
        raise UsageError(
            f"images of {height}x{width} pixels cannot be cut into patches of {patch}x{patch}",
            "let data.image_size be a multiple of the model's patch",
        )
    patches = (height // patch) * (width // patch)
    embedder = PatchEmbedding(channels, settings.width, patch, patches)
    blocks: list[nn.Module] = [
        nn.Sequential(
            *(
                EncoderLayer(
                    settings.width,
                    settings.heads,
                    settings.hidden_width,
                    qkv_bias=settings.qkv_bias,
                    epsilon=settings.norm_epsilon,
                )
                for _ in range(depth)
            )
        )
        for depth in settings.depths
    ]
    network = BlockNet(embedder, blocks, ClassTokenLinear(settings.width, classes))
    network.apply(_initialize)
    return network


def _initialize(module: nn.Module) -> None:
    if isinstance(module, nn.Linear | nn.Conv2d):
        nn.init.xavier_uniform_(module.weight.flatten(1))
        if module.bias is not None:
            nn.init.zeros_(module.bias)
