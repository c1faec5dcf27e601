"""The networks that docs/models.md lists, each as people write it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from pipeline.core.errors import UsageError
from pipeline.ingest.slim import slimmed
from pipeline.ingest.split import split_network
from pipeline.model.blocknet import BlockNet
from tests.models import convolutional, dense, embedders, sequences, transformers
from tests.models.hugging_face import LIBRARY
from tests.models.sequences import SOUND, TEXT

SHAPE = (3, 32, 32)
MAP, VECTOR = "map", "vector"


@dataclass(frozen=True, slots=True)
class Case:
    """One network.

    Attributes:
        name: as the page writes it.
        what: what is particular about it.
        make: gives it, small, with random weights.
        shape: of what it reads, without the batch axis.
        answer: what it gives, by the task that it is for: a label, a label map or an embedding.
    """

    name: str
    what: str
    make: Callable[[], nn.Module]
    shape: tuple[int, ...] = SHAPE
    answer: str = "label"


CASES = (
    Case("ResNet", "bottlenecks; `out += identity`", convolutional.ResNet),
    Case("ResNeXt", "grouped convolutions", partial(convolutional.ResNet, 2)),
    Case("RegNet", "groups of as many channels each", convolutional.RegNet),
    Case("DenseNet", "concatenations of up to seven", convolutional.DenseNet),
    Case("SqueezeNet", "pooling with `ceil_mode`, branches", convolutional.SqueezeNet),
    Case("MobileNetV2", "depthwise convolutions, `ReLU6`", convolutional.mobilenet_v2),
    Case("MobileNetV3", "squeeze and excitation, `Hardswish`", convolutional.mobilenet_v3),
    Case("EfficientNet", "squeeze and excitation, `SiLU`", convolutional.efficientnet),
    Case("ShuffleNetV2", "`chunk`, channels shuffled", convolutional.ShuffleNet),
    Case("ConvNeXt", "LayerNorm of channels, layer scale", convolutional.ConvNeXt),
    Case("ViT (torchvision)", "`nn.MultiheadAttention`, class token", transformers.ViT),
    Case("DeiT (timm)", "fused qkv, distillation token, two heads", transformers.DeiT),
    Case(
        "ViT with RMSNorm",
        "SwiGLU, layer scale, normalized queries",
        transformers.ModernViT,
    ),
    Case("Swin", "shifted windows, maps `[n, h, w, c]` between blocks", transformers.Swin),
    Case("MLP-Mixer", "linear layers across tokens", transformers.Mixer),
    Case("M5", "sounds: `nn.Conv1d`, poolings", sequences.sound_network, SOUND),
    Case(
        "Encoder of texts",
        "`nn.Embedding`, `nn.TransformerEncoderLayer`",
        sequences.text_network,
        TEXT,
    ),
    *(Case(f"{name} (transformers)", "the library's own code", make) for name, make in LIBRARY),
    Case("U-Net", "concatenated skips, transposed convolutions", dense.UNet, answer=MAP),
    Case("FPN", "maps of three sizes, nearest and bilinear", dense.FPN, answer=MAP),
    Case("LR-ASPP on MobileNetV3", "maps of two sizes, bilinear", dense.LRASPP, answer=MAP),
    Case("DeepLabV3 on ResNet", "dilations, ASPP, bilinear", dense.DeepLab, answer=MAP),
    Case("ResNet for metric learning", "`F.normalize`", embedders.MetricResNet, answer=VECTOR),
    Case(
        "Encoder of sentences",
        "mean over tokens, `F.normalize`",
        embedders.sentence_encoder,
        TEXT,
        VECTOR,
    ),
    Case("x-vectors", "mean and deviation over time", embedders.SoundEncoder, SOUND, VECTOR),
)


def images_of(case: Case, count: int = 2) -> Tensor:
    """Random ones, or other inputs, the same every time."""
    return torch.randn(count, *case.shape, generator=torch.Generator().manual_seed(3))


def cut(case: Case) -> BlockNet:
    """A case as two blocks, in eval mode; its weights are the same every time."""
    torch.manual_seed(0)
    network = case.make().eval()
    blocks = split_network("docs", case.name, network, ["auto:2"], images_of(case))
    return blocks.eval()


def student_of(case: Case, teacher: BlockNet) -> BlockNet | None:
    """Half as wide and half as deep; None where it has to be written by hand."""
    try:
        return slimmed("docs", teacher, case.shape, 0.5, 0.5)
    except UsageError:
        return None


#: By column and case: what was found. ``split`` and ``student`` take no backend.
Record = Mapping[str, Mapping[str, bool]]
