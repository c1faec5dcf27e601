"""Transformer layers rewritten in the operators that a delegate takes whole.

ExecuTorch's XNNPACK partitioner takes neither layer normalisation, nor the safe softmax and the
expansions of scaled dot product attention, nor the selection of one token: each of them would cut
a unit into several delegates with portable operators between them.
"""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.errors import UsageError
from pipeline.model.vit import Attention, ClassTokenLinear, PatchEmbedding


def without_transformer_operators(module: nn.Module, name: str) -> nn.Module:
    """An equal module of linear layers, batched products, softmax and elementwise operators.

    Args:
        module: any module; it stays as it is, and shares with the result what needs no change.
        name: how errors call it.

    Raises:
        UsageError: a layer normalisation spans more than the last axis, or has no weight or bias.
    """
    rewritten = _replacement(module, name)
    if rewritten is None:
        changed = {
            path: new
            for path, child in module.named_children()
            if (new := without_transformer_operators(child, name)) is not child
        }
        if not changed:
            return module
        rewritten = copy.copy(module)
        # A shallow copy shares its table of children with the original.
        rewritten._modules = {**module._modules, **changed}
    # Not by train() or eval(), which would reach the parts that are shared with the original.
    rewritten.training = module.training
    return rewritten


def _replacement(module: nn.Module, name: str) -> nn.Module | None:
    match module:
        case Attention():
            return FoldedAttention(module)
        case PatchEmbedding():
            return ConcatenatedEmbedding(module)
        case ClassTokenLinear():
            return SlicedLinear(module)
        case nn.LayerNorm():
            if len(module.normalized_shape) == 1 and None not in (module.weight, module.bias):
                return LinearNorm(module)
            raise UsageError(
                f"{name} has a layer normalisation over {list(module.normalized_shape)}, or one "
                "without weight or bias, which is not rewritten",
                "normalise over the last axis alone, with a weight and a bias",
            )
    return None


class FoldedAttention(nn.Module):
    """`Attention` with images and heads as one batch axis of three-dimensional products.

    The scale of the products is part of the query's weights.
    """

    def __init__(self, attention: Attention) -> None:
        super().__init__()
        self.heads = attention.heads
        scale = (attention.query.out_features // attention.heads) ** -0.5
        self.query = copy.deepcopy(attention.query)
        with torch.no_grad():
            for parameter in self.query.parameters():
                parameter.mul_(scale)
        self.key, self.value = attention.key, attention.value
        self.output = attention.output

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens ``[n, tokens, width]`` to tokens of the same shape."""
        query, key, value = (
            project(tokens).unflatten(2, (self.heads, -1)).transpose(1, 2).flatten(0, 1)
            for project in (self.query, self.key, self.value)
        )
        shares = torch.softmax(torch.bmm(query, key.transpose(1, 2)), dim=-1)
        mixed = torch.unflatten(torch.bmm(shares, value), 0, (-1, self.heads))
        outputs: Tensor = self.output(mixed.transpose(1, 2).flatten(2))
        return outputs


class LinearNorm(nn.Module):
    """Layer normalisation over the last axis, whose means are linear layers of one output."""

    mean: Tensor

    def __init__(self, norm: nn.LayerNorm) -> None:
        super().__init__()
        width = norm.normalized_shape[0]
        self.epsilon = norm.eps
        self.weight, self.bias = norm.weight, norm.bias
        self.register_buffer("mean", torch.full((1, width), 1 / width))

    def forward(self, features: Tensor) -> Tensor:
        """Features ``[..., width]`` to features of the same shape."""
        centred = features - F.linear(features, self.mean)
        variance = F.linear(centred * centred, self.mean)
        return centred * torch.rsqrt(variance + self.epsilon) * self.weight + self.bias


class ConcatenatedEmbedding(nn.Module):
    """`PatchEmbedding` of one image, so that the class token need not be expanded."""

    def __init__(self, embedding: PatchEmbedding) -> None:
        super().__init__()
        self.projection = embedding.projection
        positions = embedding.positions.detach()
        # Positions are added once, here, to the token that is the same for every image.
        self.first = nn.Parameter(embedding.class_token.detach() + positions[:, :1])
        self.positions = nn.Parameter(positions[:, 1:].clone())

    def forward(self, images: Tensor) -> Tensor:
        """Tokens ``[1, patches + 1, width]`` of an image ``[1, channels, height, width]``."""
        patches = self.projection(images).flatten(2).transpose(1, 2)
        return torch.cat([self.first, patches + self.positions], dim=1)


class SlicedLinear(nn.Module):
    """`ClassTokenLinear` with a slice in place of the selection."""

    def __init__(self, classifier: ClassTokenLinear) -> None:
        super().__init__()
        self.linear = classifier.linear

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits ``[n, classes]`` of tokens ``[n, tokens, width]``."""
        logits: Tensor = self.linear(tokens[:, :1].flatten(1))
        return logits
