"""The operators that docs/operators.md lists, each as people write it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.ingest.tokens import Tokens
from pipeline.settings import BackendName

IMAGE, EVEN = (8, 7, 9), (8, 8, 8)
TOKENS, SIGNAL, TEXT = (6, 12), (8, 12), (9,)
BOTH: tuple[BackendName, ...] = ("executorch", "litert")


@dataclass(frozen=True, slots=True)
class Case:
    """One operator.

    Attributes:
        topic: under which the page lists it.
        name: as the page writes it.
        make: a module of it.
        shape: of one input, without the batch axis.
    """

    topic: str
    name: str
    make: Callable[[], nn.Module]
    shape: tuple[int, ...] = IMAGE


class Function(nn.Module):
    """A function of features, and of parts with weights if it has some."""

    def __init__(self, function: Callable[..., Tensor], **parts: nn.Module) -> None:
        super().__init__()
        self.function = function
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, features: Tensor) -> Tensor:
        return self.function(features, *self.children())


class ChannelNorm(nn.LayerNorm):
    """Layer normalization over channels, by a subclass, as torchvision's ConvNeXt has it."""

    def forward(self, input: Tensor) -> Tensor:
        last = input.permute(0, 2, 3, 1)
        normal = F.layer_norm(last, self.normalized_shape, self.weight, self.bias, self.eps)
        return normal.permute(0, 3, 1, 2)


class NormActivation(nn.BatchNorm2d):
    """Batch normalization with its activation inside, as timm's BatchNormAct2d has it."""

    def forward(self, input: Tensor) -> Tensor:
        return F.silu(super().forward(input))


class StandardizedConv(nn.Conv2d):
    """A convolution of weights that it normalizes each time, as BiT has it."""

    def forward(self, input: Tensor) -> Tensor:
        mean = self.weight.mean((1, 2, 3), keepdim=True)
        weight = (self.weight - mean) / (self.weight.std((1, 2, 3), keepdim=True) + 1e-5)
        return F.conv2d(input, weight, self.bias, self.stride, self.padding)


class Attention(nn.Module):
    """Attention as timm writes it."""

    def __init__(
        self,
        *,
        fused: bool = True,
        causal: bool = False,
        heads: int = 3,
        padded: bool = False,
        masked: Callable[[Tensor], Tensor] = lambda scores: scores,
    ) -> None:
        super().__init__()
        self.fused, self.causal, self.heads, self.masked = fused, causal, heads, masked
        self.padded = padded
        self.qkv, self.proj = nn.Linear(12, 36), nn.Linear(12, 12)

    def forward(self, x: Tensor) -> Tensor:
        n, tokens, width = x.shape
        qkv = self.qkv(x).reshape(n, tokens, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        if self.fused:
            mask = (x[..., :1].sigmoid() - 1).mT.unsqueeze(1) if self.padded else None
            x = F.scaled_dot_product_attention(q, k, v, mask, is_causal=self.causal)
        else:
            x = self.masked((q * 0.5) @ k.transpose(-2, -1)).softmax(dim=-1) @ v
        y: Tensor = self.proj(x.transpose(1, 2).reshape(n, tokens, width))
        return y


class SharedKeys(nn.Module):
    """Four heads of queries for two of keys and values, as in Llama's; by hand all for one."""

    def __init__(self, *, fused: bool = True) -> None:
        super().__init__()
        self.fused, self.shared = fused, 2 if fused else 1
        self.q, self.kv, self.proj = nn.Linear(12, 24), nn.Linear(12, 24), nn.Linear(24, 12)

    def forward(self, x: Tensor) -> Tensor:
        n, tokens, _ = x.shape
        q = self.q(x).view(n, tokens, 4, 6).transpose(1, 2)
        k, v = self.kv(x).view(n, tokens, 2, 2, 6).permute(2, 0, 3, 1, 4)[:, :, : self.shared]
        if self.fused:
            x = F.scaled_dot_product_attention(q, k, v, enable_gqa=True, is_causal=True)
        else:
            x = (q @ k.mT * 0.4).softmax(-1) @ v
        y: Tensor = self.proj(x.transpose(1, 2).reshape(n, tokens, 24))
        return y


class SelfAttention(nn.MultiheadAttention):
    """torch's own attention of tokens among themselves."""

    def __init__(self) -> None:
        super().__init__(12, 3, batch_first=True)

    def forward(self, tokens: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(tokens, tokens, tokens, need_weights=False)[0]


class Embedding(nn.Module):
    """Patches, a class token before them, and positions."""

    def __init__(self) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, 12, 2, 2)
        self.cls = nn.Parameter(torch.randn(1, 1, 12))
        self.pos = nn.Parameter(torch.randn(1, 7, 12))

    def forward(self, x: Tensor) -> Tensor:
        x = self.proj(x).flatten(2).transpose(1, 2)
        return torch.cat([self.cls.expand(x.shape[0], -1, -1), x], 1) + self.pos


def _functions(
    topic: str,
    functions: dict[str, Callable[[Tensor], Tensor]],
    shape: tuple[int, ...] = IMAGE,
) -> Iterator[Case]:
    for name, function in functions.items():
        yield Case(topic, name, partial(Function, function), shape)


def _modules(
    topic: str,
    modules: dict[str, Callable[[], nn.Module]],
    shape: tuple[int, ...] = IMAGE,
) -> Iterator[Case]:
    for name, make in modules.items():
        yield Case(topic, name, make, shape)


def _positive(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    return lambda x: function(x.abs() + 0.1)


def _gelu_of_product(x: Tensor) -> Tensor:
    """The same formula in another order, of what is a product itself."""
    y = x * x.sigmoid()
    return 0.5 * (torch.erf(y * 0.5**0.5) + 1) * y


_ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "ReLU": nn.ReLU,
    "ReLU6": nn.ReLU6,
    "LeakyReLU": nn.LeakyReLU,
    "PReLU": nn.PReLU,
    "RReLU": nn.RReLU,
    "ELU": nn.ELU,
    "SELU": nn.SELU,
    "CELU": nn.CELU,
    "GELU": nn.GELU,
    "SiLU": nn.SiLU,
    "Mish": nn.Mish,
    "Hardswish": nn.Hardswish,
    "Hardsigmoid": nn.Hardsigmoid,
    "Hardtanh": nn.Hardtanh,
    "Sigmoid": nn.Sigmoid,
    "LogSigmoid": nn.LogSigmoid,
    "Tanh": nn.Tanh,
    "Tanhshrink": nn.Tanhshrink,
    "Softplus": nn.Softplus,
    "Softsign": nn.Softsign,
    "Softshrink": nn.Softshrink,
    "Hardshrink": nn.Hardshrink,
    "GELU('tanh')": lambda: nn.GELU("tanh"),
    "PReLU(channels)": lambda: nn.PReLU(8),
    "Softplus(2, 5)": lambda: nn.Softplus(2, 5),
    "Threshold": lambda: nn.Threshold(0.1, 0.2),
    "GLU": lambda: nn.GLU(1),
    "GELU by erf": lambda: Function(
        lambda x: x * 0.5 * (1.0 + torch.erf(x / math.sqrt(2))) + _gelu_of_product(x)
    ),
    "Softmax(1)": lambda: nn.Softmax(1),
    "LogSoftmax": lambda: nn.LogSoftmax(1),
}
_ARITHMETIC: dict[str, Callable[[Tensor], Tensor]] = {
    "x + y": lambda x: x + x.relu(),
    "1 - x": lambda x: 1 - x,
    "x / 2": lambda x: x / 2,
    "2 / x": _positive(lambda x: 2 / x),
    "add(x, y, alpha=2)": lambda x: torch.add(x, x.relu(), alpha=2),
    "sub(x, y, alpha=2)": lambda x: torch.sub(x, x.relu(), alpha=2),
    "addcmul": lambda x: torch.addcmul(x, x, x.sigmoid(), value=0.5),
    "addcdiv": lambda x: torch.addcdiv(x, x, x.exp()),
    "lerp": lambda x: torch.lerp(x, x.relu(), 0.3) + torch.lerp(x, -x, x.sigmoid()),
    "x ** 2": lambda x: x**2,
    "x ** 3": lambda x: x**3,
    "x ** 0.5": _positive(lambda x: x**0.5),
    "x ** -1": _positive(lambda x: x**-1),
    "x ** 1.7": _positive(lambda x: x**1.7),
    "2 ** x": lambda x: 2**x,
    "exp": torch.exp,
    "log": _positive(torch.log),
    "log1p": _positive(torch.log1p),
    "expm1": torch.expm1,
    "sqrt": _positive(torch.sqrt),
    "rsqrt": _positive(torch.rsqrt),
    "abs": torch.abs,
    "square": torch.square,
    "clamp": lambda x: x.clamp(-1, 1),
    "clamp(0, 1)": lambda x: x.clamp(0, 1) - x.relu().clamp(max=1) * F.hardtanh(x, 0, 1),
    "clamp(min=)": lambda x: x.clamp(min=0.2),
    "maximum": lambda x: torch.maximum(x, -x),
    "minimum": lambda x: torch.minimum(x, 1 - x),
    "floor": torch.floor,
    "ceil": torch.ceil,
    "round": torch.round,
    "sign": torch.sign,
    "sin": torch.sin,
    "cos": torch.cos,
    "erf": torch.erf,
    "atan2": lambda x: torch.atan2(x, x + 1),
    "where": lambda x: torch.where(x > 0, x, x * 0.1),
    "masked_fill": lambda x: x.masked_fill(x < 0, 0.5),
    "cumsum": lambda x: x.cumsum(1),
}
_REDUCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "x.mean((2, 3))": lambda x: x.mean((2, 3)),
    "x.mean((-2, -1), keepdim=True)": lambda x: x.mean((-2, -1), keepdim=True),
    "x.mean(1)": lambda x: x.mean(1, keepdim=True),
    "x.mean(-1)": lambda x: x.mean(-1, keepdim=True),
    "x.sum(...)": lambda x: x.sum((2, 3), keepdim=True) + x.sum(1, keepdim=True),
    "x.amax(...)": lambda x: x.amax((2, 3), keepdim=True) + x.amax(1, keepdim=True),
    "x.amin(...)": lambda x: x.amin((2, 3), keepdim=True) + x.amin(1, keepdim=True),
    "x.max(1)[0]": lambda x: x.max(1, keepdim=True)[0],
    "x.var(...)": lambda x: x.var((2, 3), keepdim=True),
    "x.std(...)": lambda x: x.std((2, 3), keepdim=True),
    "x.norm(dim=...)": lambda x: x.norm(p=2, dim=(2, 3), keepdim=True),
    "var_mean": lambda x: torch.add(*torch.var_mean(x, 1, keepdim=True, unbiased=False)),
    "x.norm(p=1, dim=...)": lambda x: x.norm(p=1, dim=1, keepdim=True),
    "linalg.norm": lambda x: torch.linalg.norm(x, dim=1, keepdim=True),
    "F.normalize": lambda x: F.normalize(x, dim=1),
    "logsumexp": lambda x: x.logsumexp(1, keepdim=True),
    "argmax": lambda x: x * x.argmax(1, keepdim=True).float(),
}
_POOLING: dict[str, Callable[[], nn.Module]] = {
    "MaxPool2d(3, 2, 1)": lambda: nn.MaxPool2d(3, 2, 1),
    "MaxPool2d(ceil_mode=True)": lambda: nn.MaxPool2d(3, 2, 1, ceil_mode=True),
    "MaxPool2d(dilation=2)": lambda: nn.MaxPool2d(2, 2, dilation=2),
    "MaxPool2d(1, 2)": lambda: nn.MaxPool2d(1, 2),
    "AvgPool2d(2)": lambda: nn.AvgPool2d(2),
    "AvgPool2d(3, 2, 1)": lambda: nn.AvgPool2d(3, 2, 1),
    "AvgPool2d(count_include_pad=False)": lambda: nn.AvgPool2d(3, 1, 1, count_include_pad=False),
    "AvgPool2d(ceil_mode=True)": lambda: nn.AvgPool2d(2, ceil_mode=True),
    "AdaptiveAvgPool2d(1)": lambda: nn.AdaptiveAvgPool2d(1),
    "AdaptiveAvgPool2d(n)": lambda: nn.AdaptiveAvgPool2d((4, 3)),
    "AdaptiveMaxPool2d(1)": lambda: nn.AdaptiveMaxPool2d(1),
    "AdaptiveMaxPool2d(n)": lambda: nn.AdaptiveMaxPool2d((7, 3)),
    "LPPool2d": lambda: nn.LPPool2d(2, 2),
}
_RESIZING: dict[str, Callable[[], nn.Module]] = {
    "Upsample(2)": lambda: nn.Upsample(scale_factor=2),
    "Upsample((12, 10))": lambda: nn.Upsample(size=(12, 10)),
    "Upsample('nearest-exact')": lambda: nn.Upsample(size=(12, 10), mode="nearest-exact"),
    "Upsample('bilinear')": lambda: nn.Upsample(scale_factor=2, mode="bilinear"),
    "Upsample('bilinear', align_corners=True)": lambda: nn.Upsample(
        size=(11, 5), mode="bilinear", align_corners=True
    ),
    "Upsample(1.7, 'bilinear')": lambda: nn.Upsample(scale_factor=1.7, mode="bilinear"),
    "Upsample('bicubic')": lambda: nn.Upsample(scale_factor=2, mode="bicubic"),
    "interpolate(antialias=True)": lambda: Function(
        lambda x: F.interpolate(x, size=(4, 5), mode="bilinear", antialias=True)
    ),
    "PixelShuffle": lambda: nn.PixelShuffle(2),
    "PixelUnshuffle": lambda: nn.PixelUnshuffle(2),
    "ChannelShuffle": lambda: nn.ChannelShuffle(2),
    "ZeroPad2d": lambda: nn.ZeroPad2d((1, 2, 0, 1)),
    "ConstantPad2d": lambda: nn.ConstantPad2d(1, 0.5),
    "ReflectionPad2d": lambda: nn.ReflectionPad2d((2, 1, 0, 3)),
    "ReplicationPad2d": lambda: nn.ReplicationPad2d((1, 2, 1, 0)),
    "CircularPad2d": lambda: nn.CircularPad2d(1),
}


def _windows(x: Tensor) -> Tensor:
    """Softmax within windows of an image that is rolled, as Swin cuts them."""
    windows = x.permute(0, 2, 3, 1).roll((-2, -2), (1, 2)).view(1, 2, 4, 2, 4, 8)
    tokens = windows.permute(0, 1, 3, 2, 4, 5).contiguous().view(4, 16, 8).softmax(-1)
    joined = tokens.view(1, 2, 2, 4, 4, 8).permute(0, 1, 3, 2, 4, 5).contiguous()
    return joined.view(1, 8, 8, 8).roll((2, 2), (1, 2)).permute(0, 3, 1, 2)


_ARRANGING: dict[str, Callable[[Tensor], Tensor]] = {
    "x[:, :4]": lambda x: x[:, :4],
    "x[:, :, ::2, ::2]": lambda x: x[:, :, ::2, 1::2],
    "x[:, ::2]": lambda x: x[:, ::2],
    "x[:, [0, 2]]": lambda x: x[:, [0, 2]],
    "chunk": lambda x: torch.cat(x.chunk(2, 1)[::-1], 1),
    "split": lambda x: x.split([2, 6], 1)[1],
    "cat": lambda x: torch.cat([x, -x, x, 1 - x, x, x + 1], 1),
    "stack": lambda x: torch.stack([x, -x], 2).flatten(1, 2),
    "repeat": lambda x: x.repeat(1, 2, 1, 1),
    "roll": lambda x: x.roll(1, 2),
    "windows by view and permute": _windows,
    "flip": lambda x: x.flip(3),
    "transpose(2, 3)": lambda x: x.transpose(2, 3),
    "matmul": lambda x: x @ x.transpose(2, 3),
    "unfold": lambda x: F.unfold(x, 3, padding=1).unsqueeze(2),
    "fold": lambda x: F.fold(F.unfold(x, 4, stride=4).relu(), 8, 4, stride=4),
    "fold of overlapping patches": lambda x: F.fold(F.unfold(x, 3, 1, 1, 2), 8, 3, 1, 1, 2),
    "x.unfold(2, 4, 4)": lambda x: x.unfold(2, 4, 4).relu().flatten(3),
    "x.unfold(3, 3, 2)": lambda x: x.unfold(3, 3, 2).relu().flatten(3),
    "repeat_interleave": lambda x: x.repeat_interleave(2, 1).relu(),
    "expand": lambda x: torch.cat([x[:, :, :1].expand(-1, -1, 8, -1), x], 1),
}
_NORMS: dict[str, Callable[[], nn.Module]] = {
    "BatchNorm2d": lambda: nn.BatchNorm2d(8),
    "SyncBatchNorm": lambda: nn.SyncBatchNorm(8),
    "BatchNorm2d and its activation in one class": lambda: NormActivation(8),
    "GroupNorm": lambda: nn.GroupNorm(2, 8),
    "GroupNorm(1)": lambda: nn.GroupNorm(1, 8),
    "InstanceNorm2d": lambda: nn.InstanceNorm2d(8, affine=True),
    "LayerNorm([c, h, w])": lambda: nn.LayerNorm([8, 7, 9]),
    "LayerNorm over channels": lambda: ChannelNorm(8),
    "LocalResponseNorm": lambda: nn.LocalResponseNorm(3),
}
_CONVOLUTIONS: dict[str, Callable[[], nn.Module]] = {
    "Conv2d": lambda: nn.Conv2d(8, 6, 3, 2, 1),
    "Conv2d(dilation=)": lambda: nn.Conv2d(8, 6, 3, padding=2, dilation=2),
    "Conv2d(groups=)": lambda: nn.Conv2d(8, 8, 3, padding=1, groups=2),
    "Conv2d(groups=channels)": lambda: nn.Conv2d(8, 16, 3, padding=1, groups=8),
    "Conv2d(padding='same')": lambda: nn.Conv2d(8, 6, (2, 3), padding="same"),
    "Conv2d(padding_mode='reflect')": lambda: nn.Conv2d(8, 6, 3, padding=1, padding_mode="reflect"),
    "ConvTranspose2d": lambda: nn.Sequential(
        nn.ConvTranspose2d(8, 6, 3, 2, 1, output_padding=1), nn.BatchNorm2d(6)
    ),
    "ConvTranspose2d(groups=)": lambda: nn.Sequential(
        nn.ConvTranspose2d(8, 6, 3, 2, 1, groups=2), nn.BatchNorm2d(6)
    ),
    "weight_norm": lambda: nn.utils.parametrizations.weight_norm(nn.Conv2d(8, 6, 3)),
    "utils.weight_norm": lambda: nn.utils.weight_norm(nn.Conv2d(8, 6, 3)),
    "spectral_norm": lambda: nn.utils.parametrizations.spectral_norm(nn.Conv2d(8, 6, 3)),
    "utils.spectral_norm": lambda: nn.utils.spectral_norm(nn.Conv2d(8, 6, 3)),
    "Conv2d of standardized weights": lambda: StandardizedConv(8, 6, 3),
    "Dropout2d": lambda: nn.Sequential(nn.Dropout2d(), nn.Conv2d(8, 6, 1)),
}
#: Of the axes before the last.
_MIX = torch.arange(6.0).view(2, 3) - 2
#: What a causal mask hides.
_FUTURE = torch.ones(6, 6, dtype=torch.bool).triu(1)
_TOKENS: dict[str, Callable[[], nn.Module]] = {
    "LayerNorm": lambda: nn.LayerNorm(12),
    "Softmax": lambda: nn.Softmax(-1),
    "LayerNorm(bias=False)": lambda: nn.LayerNorm(12, bias=False),
    "LayerNorm(elementwise_affine=False)": lambda: nn.LayerNorm(12, elementwise_affine=False),
    "RMSNorm": lambda: nn.RMSNorm(12),
    "BatchNorm1d": lambda: Function(
        lambda x, norm: norm(x.transpose(1, 2)).transpose(1, 2), norm=nn.BatchNorm1d(12)
    ),
    "scaled_dot_product_attention": Attention,
    "scaled_dot_product_attention(is_causal=True)": lambda: Attention(causal=True),
    "scaled_dot_product_attention with a computed mask of floats": lambda: Attention(padded=True),
    "attention by @ and softmax": lambda: Attention(fused=False),
    "attention by @ and softmax of one head": lambda: Attention(fused=False, heads=1),
    "scaled_dot_product_attention of one head": lambda: Attention(heads=1),
    "bmm of one head": lambda: Function(lambda x: torch.bmm(torch.bmm(x, x.mT).softmax(-1), x)),
    "attention of one token": lambda: Function(lambda x: (x[:, :1] @ x.mT).softmax(-1) @ x),
    "attention of heads that share keys": SharedKeys,
    "x @ y of heads that share y": lambda: SharedKeys(fused=False),
    "baddbmm": lambda: Function(
        lambda x: torch.baddbmm(x @ x.mT, x, x.mT, beta=0.5, alpha=2).softmax(-1) @ x
    ),
    "cat of seven": lambda: Function(
        lambda x: torch.cat([x, -x, x.relu(), 1 - x, x + 1, x.sigmoid(), x * 2], 1)
    ),
    "x @ constant": lambda: Function(lambda x: x.view(1, 6, 2, 6).mT @ _MIX),
    "constant @ x": lambda: Function(lambda x: torch.eye(6).roll(1, 0) @ x),
    "x @ y of tokens": lambda: Function(lambda x: (x @ x.transpose(1, 2)).softmax(-1) @ x),
    "masked_fill by a constant mask": lambda: Attention(
        fused=False, masked=lambda scores: scores.masked_fill(_FUTURE, float("-inf"))
    ),
    "where of a constant mask": lambda: Attention(
        fused=False, masked=lambda scores: torch.where(~_FUTURE, scores, torch.tensor(-1e9))
    ),
    "MultiheadAttention": SelfAttention,
    "TransformerEncoderLayer": lambda: nn.TransformerEncoderLayer(12, 3, 24, batch_first=True),
    "x[:, 0]": lambda: Function(lambda x: x[:, 0].unsqueeze(1)),
    "x.mean(1) of tokens": lambda: Function(lambda x: x.mean(1, keepdim=True)),
    "Linear over tokens": lambda: Function(
        lambda x, mix: mix(x.transpose(1, 2)).transpose(1, 2), mix=nn.Linear(6, 6)
    ),
    "Conv1d over tokens": lambda: Function(
        lambda x, mix: mix(x.transpose(1, 2)).transpose(1, 2), mix=nn.Conv1d(12, 12, 3, padding=1)
    ),
    "PReLU of vectors": lambda: Function(lambda x, part: part(x.mean(1)), part=nn.PReLU(12)),
    "LogSoftmax of vectors": lambda: Function(lambda x: x.mean(1).log_softmax(1)),
    "GRU": lambda: Function(lambda x, part: part(x)[0], part=nn.GRU(12, 12, batch_first=True)),
}

#: Of sounds and sensors, ``[n, channels, time]``.
_SIGNALS: dict[str, Callable[[], nn.Module]] = {
    "Conv1d": lambda: nn.Conv1d(8, 6, 3, 2, 1),
    "Conv1d(groups=channels)": lambda: nn.Conv1d(8, 8, 3, padding=1, groups=8),
    "Conv1d(dilation=)": lambda: nn.Conv1d(8, 6, 3, dilation=2),
    "ConvTranspose1d": lambda: nn.ConvTranspose1d(8, 6, 4, 2, 1),
    "Conv1d, BatchNorm1d": lambda: nn.Sequential(nn.Conv1d(8, 6, 1), nn.BatchNorm1d(6), nn.ReLU()),
    "GroupNorm of signals": lambda: nn.GroupNorm(2, 8),
    "MaxPool1d(4)": lambda: nn.MaxPool1d(4),
    "MaxPool1d(3, 2, 1)": lambda: nn.MaxPool1d(3, 2, 1),
    "AvgPool1d(2)": lambda: nn.AvgPool1d(2),
    "AvgPool1d(3, 2, 1)": lambda: nn.AvgPool1d(3, 2, 1),
    "AdaptiveAvgPool1d(1)": lambda: nn.AdaptiveAvgPool1d(1),
    "AdaptiveAvgPool1d(n)": lambda: nn.AdaptiveAvgPool1d(4),
    "AdaptiveMaxPool1d(1)": lambda: nn.AdaptiveMaxPool1d(1),
    "x.mean(-1) of signals": lambda: Function(lambda x: x.mean(-1)),
    "ReflectionPad1d": lambda: nn.ReflectionPad1d(2),
    "Upsample of signals": lambda: nn.Upsample(scale_factor=2),
}


class Lookup(nn.Module):
    """Tokens as programs are given them: floats."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.table = Tokens(40), nn.Embedding(40, 12)

    def forward(self, values: Tensor) -> Tensor:
        found: Tensor = self.table(self.tokens(values))
        return found


#: Of texts, ``[n, length]``.
_TEXTS: dict[str, Callable[[], nn.Module]] = {"Embedding": Lookup}

CASES: tuple[Case, ...] = (
    *_modules("activations", _ACTIVATIONS),
    *_functions("arithmetic", _ARITHMETIC),
    *_functions("reductions", _REDUCTIONS),
    *_modules("normalizations", _NORMS),
    *_modules("convolutions", _CONVOLUTIONS),
    *_modules("pooling", _POOLING),
    *_modules("resizing and padding", _RESIZING, EVEN),
    *_functions("rearranging", _ARRANGING, EVEN),
    *_modules("tokens", _TOKENS, TOKENS),
    *_modules("signals", _SIGNALS, SIGNAL),
    *_modules("texts", _TEXTS, TEXT),
)


def module_of(case: Case) -> nn.Module:
    """The module in eval mode, with weights and statistics that are not the neutral ones."""
    torch.manual_seed(len(case.name))
    module = case.make()
    for parameter in module.parameters():
        nn.init.normal_(parameter)
    for name, buffer in module.named_buffers():
        if "running_var" in name:
            buffer.uniform_(0.5, 2)
        elif "running_mean" in name:
            buffer.normal_()
    return module.eval()


def inputs_of(case: Case) -> Tensor:
    """Three inputs ``[3, ...]``: wide ones with zeros and extremes among them, and small ones."""
    torch.manual_seed(0)
    inputs = torch.randn(3, *case.shape) * 3
    inputs[2] *= 0.1
    inputs.flatten(1)[0, :4] = torch.tensor([0.0, 30.0, -30.0, 1e-3])
    return inputs
