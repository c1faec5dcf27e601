# ruff: noqa: N803, N806 - names as in the libraries
"""Transformers as libraries write them, small: plain modules with names, no blocks."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CLASSES = 6


class Attention(nn.Module):
    """Timm's: one layer for queries, keys and values, and torch's own attention."""

    def __init__(self, dim: int, heads: int, norm: bool = False, bias: bool = True) -> None:
        super().__init__()
        self.num_heads, self.head_dim = heads, dim // heads
        self.qkv, self.proj = nn.Linear(dim, 3 * dim, bias=bias), nn.Linear(dim, dim)
        self.q_norm = nn.RMSNorm(self.head_dim) if norm else nn.Identity()
        self.k_norm = nn.RMSNorm(self.head_dim) if norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        B, N, C = x.shape
        qkv = self.qkv(x).reshape(B, N, 3, self.num_heads, self.head_dim).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        q, k = self.q_norm(q), self.k_norm(k)
        x = F.scaled_dot_product_attention(q, k, v)
        return self.proj(x.transpose(1, 2).reshape(B, N, C))


class PlainAttention(Attention):
    """Timm's where torch has no attention of its own."""

    def forward(self, x: Tensor) -> Tensor:
        B, N, C = x.shape
        qkv = self.qkv(x).reshape(B, N, 3, self.num_heads, C // self.num_heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        attn = (q * self.head_dim**-0.5) @ k.transpose(-2, -1)
        x = (attn.softmax(dim=-1) @ v).transpose(1, 2).reshape(B, N, C)
        return self.proj(x)


class LayerScale(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(1e-5 * torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


class Mlp(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.fc1, self.act, self.fc2 = nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.act(self.fc1(x)))


class SwiGLU(nn.Module):
    """Gate and value in one layer, as DINOv2 has it."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.w12, self.w3 = nn.Linear(dim, 4 * dim), nn.Linear(2 * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        x1, x2 = self.w12(x).chunk(2, dim=-1)
        return self.w3(F.silu(x1) * x2)


class Layer(nn.Module):
    """Timm's Block."""

    def __init__(self, dim: int, heads: int, modern: bool = False, plain: bool = False) -> None:
        super().__init__()
        norm = nn.RMSNorm if modern else nn.LayerNorm
        make = PlainAttention if plain else Attention
        self.norm1, self.norm2 = norm(dim, eps=1e-6), norm(dim, eps=1e-6)
        self.attn = make(dim, heads, modern, not modern)
        self.ls1 = LayerScale(dim) if modern else nn.Identity()
        self.ls2 = LayerScale(dim) if modern else nn.Identity()
        self.mlp = SwiGLU(dim) if modern else Mlp(dim)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.ls1(self.attn(self.norm1(x)))
        return x + self.ls2(self.mlp(self.norm2(x)))


class PatchEmbed(nn.Module):
    def __init__(self, dim: int, patch: int) -> None:
        super().__init__()
        self.proj, self.norm = nn.Conv2d(3, dim, patch, patch), nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.proj(x).flatten(2).transpose(1, 2))


class DeiT(nn.Module):
    """Timm's distilled DeiT: a class token, a distillation token and a head for each."""

    def __init__(self, dim: int = 24, heads: int = 3, depth: int = 4) -> None:
        super().__init__()
        self.patch_embed = PatchEmbed(dim, 8)
        self.cls_token = nn.Parameter(torch.randn(1, 1, dim) * 0.02)
        self.dist_token = nn.Parameter(torch.randn(1, 1, dim) * 0.02)
        self.pos_embed = nn.Parameter(torch.randn(1, 16 + 2, dim) * 0.02)
        self.pos_drop = nn.Dropout(0.1)
        self.blocks = nn.Sequential(*(Layer(dim, heads) for _ in range(depth)))
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.head, self.head_dist = nn.Linear(dim, CLASSES), nn.Linear(dim, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch_embed(x)
        first = (
            self.cls_token.expand(x.shape[0], -1, -1),
            self.dist_token.expand(x.shape[0], -1, -1),
        )
        x = self.pos_drop(torch.cat((*first, x), dim=1) + self.pos_embed)
        x = self.norm(self.blocks(x))
        return (self.head(x[:, 0]) + self.head_dist(x[:, 1])) / 2


class ModernViT(nn.Module):
    """RMSNorm, SwiGLU, LayerScale and normalized queries; the mean over tokens."""

    def __init__(self, dim: int = 24, heads: int = 3, depth: int = 4) -> None:
        super().__init__()
        self.patch_embed = PatchEmbed(dim, 8)
        self.pos_embed = nn.Parameter(torch.randn(1, 16, dim) * 0.02)
        self.blocks = nn.ModuleList(Layer(dim, heads, modern=True) for _ in range(depth))
        self.fc_norm, self.head = nn.LayerNorm(dim), nn.Linear(dim, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch_embed(x) + self.pos_embed
        for block in self.blocks:
            x = block(x)
        return self.head(self.fc_norm(x.mean(dim=1)))


class EncoderBlock(nn.Module):
    """Torchvision's, around `nn.MultiheadAttention`."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(dim, eps=1e-6)
        self.self_attention = nn.MultiheadAttention(dim, heads, dropout=0.1, batch_first=True)
        self.dropout, self.ln_2 = nn.Dropout(0.1), nn.LayerNorm(dim, eps=1e-6)
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))

    def forward(self, input: Tensor) -> Tensor:
        torch._assert(input.dim() == 3, f"Expected (batch, tokens, dim), got {input.shape}")
        x = self.ln_1(input)
        x, _ = self.self_attention(x, x, x, need_weights=False)
        x = self.dropout(x) + input
        return x + self.mlp(self.ln_2(x))


class ViT(nn.Module):
    """Torchvision's."""

    class Encoder(nn.Module):
        def __init__(self, dim: int, heads: int, depth: int) -> None:
            super().__init__()
            self.pos_embedding = nn.Parameter(torch.randn(1, 17, dim) * 0.02)
            self.dropout = nn.Dropout(0.1)
            self.layers = nn.Sequential()
            for index in range(depth):
                self.layers.add_module(f"encoder_layer_{index}", EncoderBlock(dim, heads))
            self.ln = nn.LayerNorm(dim, eps=1e-6)

        def forward(self, input: Tensor) -> Tensor:
            torch._assert(input.dim() == 3, f"Expected (batch, tokens, dim), got {input.shape}")
            return self.ln(self.layers(self.dropout(input + self.pos_embedding)))

    def __init__(self, dim: int = 24, heads: int = 3, depth: int = 4) -> None:
        super().__init__()
        self.hidden_dim = dim
        self.conv_proj = nn.Conv2d(3, dim, 8, 8)
        self.class_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.encoder = self.Encoder(dim, heads, depth)
        self.heads = nn.Sequential(nn.Linear(dim, CLASSES))

    def forward(self, x: Tensor) -> Tensor:
        n, _, h, w = x.shape
        torch._assert(h == 32, f"Wrong image height! Expected 32 but got {h}!")
        x = self.conv_proj(x).reshape(n, self.hidden_dim, (h // 8) * (w // 8)).permute(0, 2, 1)
        x = torch.cat([self.class_token.expand(n, -1, -1), x], dim=1)
        return self.heads(self.encoder(x)[:, 0])


class WindowAttention(nn.Module):
    """Swin's, over windows of a map ``[n, h, w, c]``, every second time shifted, as torchvision."""

    def __init__(self, dim: int, heads: int, window: int, shift: int) -> None:
        super().__init__()
        self.window, self.shift, self.num_heads = window, shift, heads
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        table = torch.randn((2 * window - 1) ** 2, heads) * 0.02
        self.relative_position_bias_table = nn.Parameter(table)
        places = torch.stack(torch.meshgrid(*[torch.arange(window)] * 2, indexing="ij")).flatten(1)
        apart = (places[:, :, None] - places[:, None]).permute(1, 2, 0) + window - 1
        index = (apart[:, :, 0] * (2 * window - 1) + apart[:, :, 1]).flatten()
        self.register_buffer("relative_position_index", index)

    def forward(self, x: Tensor) -> Tensor:
        B, H, W, C = x.shape
        size = self.window
        shift = self.shift if size < H else 0
        if shift > 0:
            x = torch.roll(x, shifts=(-shift, -shift), dims=(1, 2))
        windows = (H // size) * (W // size)
        x = x.view(B, H // size, size, W // size, size, C)
        x = x.permute(0, 1, 3, 2, 4, 5).reshape(B * windows, size * size, C)
        qkv = self.qkv(x).reshape(len(x), size * size, 3, self.num_heads, C // self.num_heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        attn = (q * (C // self.num_heads) ** -0.5).matmul(k.transpose(-2, -1)) + self._bias()
        if shift > 0:
            attn = attn.view(B, windows, self.num_heads, size * size, size * size)
            attn = attn + self._mask(x, H, W, shift).unsqueeze(1).unsqueeze(0)
            attn = attn.view(-1, self.num_heads, size * size, size * size)
        attn = F.softmax(attn, dim=-1)
        x = attn.matmul(v).transpose(1, 2).reshape(len(x), size * size, C)
        x = self.proj(x).view(B, H // size, W // size, size, size, C)
        x = x.permute(0, 1, 3, 2, 4, 5).reshape(B, H, W, C)
        return torch.roll(x, shifts=(shift, shift), dims=(1, 2)) if shift > 0 else x

    def _bias(self) -> Tensor:
        N = self.window**2
        bias = self.relative_position_bias_table[self.relative_position_index]
        return bias.view(N, N, -1).permute(2, 0, 1).contiguous().unsqueeze(0)

    def _mask(self, x: Tensor, H: int, W: int, shift: int) -> Tensor:
        """Windows that the shift put together from both edges are apart."""
        size = self.window
        mask = x.new_zeros((H, W))
        slices = ((0, -size), (-size, -shift), (-shift, None))
        count = 0
        for h in slices:
            for w in slices:
                mask[h[0] : h[1], w[0] : w[1]] = count
                count += 1
        mask = mask.view(H // size, size, W // size, size).permute(0, 2, 1, 3)
        mask = mask.reshape(-1, size * size)
        mask = mask.unsqueeze(1) - mask.unsqueeze(2)
        return mask.masked_fill(mask != 0, -100.0).masked_fill(mask == 0, 0.0)


class SwinBlock(nn.Module):
    def __init__(self, dim: int, heads: int, window: int, shift: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim, eps=1e-5), nn.LayerNorm(dim, eps=1e-5)
        self.attn = WindowAttention(dim, heads, window, shift)
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class PatchMerging(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.reduction, self.norm = nn.Linear(4 * dim, 2 * dim, bias=False), nn.LayerNorm(4 * dim)

    def forward(self, x: Tensor) -> Tensor:
        H, W, _ = x.shape[-3:]
        x = F.pad(x, (0, 0, 0, W % 2, 0, H % 2))
        x0, x1 = x[..., 0::2, 0::2, :], x[..., 1::2, 0::2, :]
        x2, x3 = x[..., 0::2, 1::2, :], x[..., 1::2, 1::2, :]
        return self.reduction(self.norm(torch.cat([x0, x1, x2, x3], -1)))


class Permute(nn.Module):
    def __init__(self, *dims: int) -> None:
        super().__init__()
        self.dims = dims

    def forward(self, x: Tensor) -> Tensor:
        return torch.permute(x, self.dims)


class Swin(nn.Module):
    """Torchvision's: maps ``[n, h, w, c]`` between its stages."""

    def __init__(self, dim: int = 16) -> None:
        super().__init__()
        embed = [nn.Conv2d(3, dim, 4, 4), Permute(0, 2, 3, 1), nn.LayerNorm(dim)]
        self.features = nn.Sequential(
            nn.Sequential(*embed),
            nn.Sequential(SwinBlock(dim, 2, 4, 0), SwinBlock(dim, 2, 4, 2)),
            PatchMerging(dim),
            nn.Sequential(SwinBlock(2 * dim, 4, 4, 0), SwinBlock(2 * dim, 4, 4, 2)),
        )
        self.norm, self.permute = nn.LayerNorm(2 * dim), Permute(0, 3, 1, 2)
        self.avgpool, self.flatten = nn.AdaptiveAvgPool2d(1), nn.Flatten(1)
        self.head = nn.Linear(2 * dim, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.permute(self.norm(self.features(x)))
        return self.head(self.flatten(self.avgpool(x)))


class MixerBlock(nn.Module):
    """MLP-Mixer's."""

    def __init__(self, tokens: int, dim: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim, eps=1e-6), nn.LayerNorm(dim, eps=1e-6)
        self.mlp_tokens, self.mlp_channels = Mlp(tokens), Mlp(dim)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.mlp_tokens(self.norm1(x).transpose(1, 2)).transpose(1, 2)
        return x + self.mlp_channels(self.norm2(x))


class Mixer(nn.Module):
    def __init__(self, dim: int = 24) -> None:
        super().__init__()
        self.stem = PatchEmbed(dim, 8)
        self.blocks = nn.Sequential(*(MixerBlock(16, dim) for _ in range(3)))
        self.norm, self.head = nn.LayerNorm(dim), nn.Linear(dim, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.blocks(self.stem(x))).mean(dim=1))
