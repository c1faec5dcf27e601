"""A stand-in for the official reference implementation, which is not here and has no license.

Written from the description of its checkpoints alone. The layers of ResNet and ViT are those of
Hugging Face's transformers, which that implementation builds on too, so that names and arithmetic
are not this project's own; VGG is plain torch. Every weight and every statistic is random, the dead
ones too: what is applied and should not be, or the other way round, shows in the logits.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import PreTrainedConfig, ResNetConfig, ViTConfig

#: What transformers 4 called the parts of a ViT layer that transformers 5 renamed.
NAMES_OF_4 = {
    "attention.q_proj": "attention.attention.query",
    "attention.k_proj": "attention.attention.key",
    "attention.v_proj": "attention.attention.value",
    "attention.o_proj": "attention.output.dense",
    "mlp.fc1": "intermediate.dense",
    "mlp.fc2": "output.dense",
}


class ResNetStem(nn.Module):
    def __init__(self, config: Any) -> None:
        from transformers.models.resnet.modeling_resnet import ResNetConvLayer

        super().__init__()
        self.embedder = ResNetConvLayer(
            config.num_channels,
            config.embedding_size,
            kernel_size=config.embedder_kernel_size,
            stride=config.embedder_kernel_stride,
        )
        self.pooler = (
            nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
            if config.embedder_use_pooler
            else nn.Identity()
        )

    def forward(self, images: Tensor) -> Tensor:
        return self.pooler(self.embedder(images))


class Wrapped(nn.Module):
    """One step of a ViT block, which keeps what it wraps as `module`."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, tokens: Tensor) -> Tensor:
        return self.module(tokens)


class Pooler(Wrapped):
    """Returns token 0, and leaves its normalization unused."""

    def forward(self, tokens: Tensor) -> Tensor:
        return tokens[:, 0]


class Body(nn.Module):
    """What stands below the name of the family."""

    def __init__(self, embedder: nn.Module, blocks: Sequence[Sequence[nn.Module]]) -> None:
        super().__init__()
        self.embedder = embedder
        self.blocks = nn.ModuleList(nn.ModuleList(block) for block in blocks)


class Network(nn.Module):
    def __init__(self, family: str, body: Body, classifier: nn.Module) -> None:
        super().__init__()
        self.add_module(family, body)
        self.classifier = classifier
        self.family = family

    @property
    def body(self) -> Body:
        return self.get_submodule(self.family)


def resnet(config: Any) -> Network:
    from transformers.models.resnet.modeling_resnet import ResNetStage

    sizes = [config.embedding_size, *config.hidden_sizes]
    strides = [2 if config.downsample_in_first_stage else 1] + [2] * (len(config.depths) - 1)
    blocks = [
        [ResNetStage(config, source, target, stride=stride, depth=depth)]
        for (source, target), stride, depth in zip(
            itertools.pairwise(sizes), strides, config.depths, strict=True
        )
    ]
    head = nn.Sequential(
        nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten(), nn.Linear(sizes[-1], config.num_labels)
    )
    return Network("resnet", Body(ResNetStem(config), blocks), head)


def vgg(config: Any) -> Network:
    blocks: list[list[nn.Module]] = []
    source = config.in_channels
    for width, depth in zip(config.hidden_sizes, config.depths, strict=True):
        steps: list[nn.Module] = []
        pooling = nn.MaxPool2d(kernel_size=config.pool_kernel, stride=config.pool_stride)
        for _ in range(depth):
            convolution = nn.Conv2d(source, width, kernel_size=3, padding=1)
            steps += [convolution, nn.BatchNorm2d(width), nn.ReLU()]
            source = width
        blocks.append([nn.Sequential(*steps, pooling)])
    head = nn.Sequential(
        nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten(), nn.Linear(source, config.num_labels)
    )
    return Network("vgg", Body(nn.Identity(), blocks), head)


def vit(config: Any) -> Network:
    from transformers.models.vit.modeling_vit import ViTEmbeddings, ViTLayer

    config._attn_implementation = "eager"
    blocks: list[list[nn.Module]] = [
        [Wrapped(ViTLayer(config)) for _ in range(config.layers_per_block)]
        for _ in range(config.num_hidden_layers // config.layers_per_block)
    ]
    blocks[-1].append(Pooler(nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)))
    head = nn.Linear(config.hidden_size, config.num_labels)
    return Network("vit", Body(ViTEmbeddings(config), blocks), head)


class Converter(nn.Module):
    """Linear over channels, wherever they stand."""

    def __init__(self, source: int, target: int) -> None:
        super().__init__()
        self.linear = nn.Linear(source, target)

    def forward(self, features: Tensor) -> Tensor:
        if features.dim() != 4:
            return self.linear(features)
        return self.linear(features.movedim(1, -1)).movedim(-1, 1)


class SwapNet(nn.Module):
    def __init__(
        self, teacher: Network, student: Network, widths: Sequence[tuple[int, int]]
    ) -> None:
        super().__init__()
        self.teacher = teacher
        self.student = student
        inner = list(widths)[:-1]
        self.encoders = nn.ModuleList(
            Converter(t, s) if t != s else nn.Identity() for t, s in inner
        )
        self.decoders = nn.ModuleList(
            Converter(s, t) if t != s else nn.Identity() for t, s in inner
        )

    def forward(self, images: Tensor, route: str) -> Tensor:
        networks = {"T": self.teacher, "S": self.student}
        features = networks[route[0]].body.embedder(images)
        for index, letter in enumerate(route):
            if index and route[index - 1] == "T" and letter == "S":
                features = self.encoders[index - 1](features)
            if index and route[index - 1] == "S" and letter == "T":
                features = self.decoders[index - 1](features)
            for step in networks[letter].body.blocks[index].children():
                features = step(features)
        return networks[route[-1]].classifier(features)


@dataclass(frozen=True)
class Twin:
    """A model of the reference implementation, as its training would leave it."""

    swapnet: SwapNet
    teacher: PreTrainedConfig
    student: PreTrainedConfig

    @property
    def routes(self) -> list[str]:
        blocks = len(self.swapnet.teacher.body.blocks)
        return ["".join(letters) for letters in itertools.product("ST", repeat=blocks)]

    def logits(self, images: Tensor, route: str) -> Tensor:
        with torch.no_grad():
            return self.swapnet(images, route)

    def tensors(self, transformers: int = 5) -> dict[str, Tensor]:
        """The state dict of the Trainer's model, as one version of transformers names it."""
        found = {f"swapnet.{name}": value for name, value in self.swapnet.state_dict().items()}
        if transformers == 5:
            return found
        old = re.compile("|".join(map(re.escape, NAMES_OF_4)))
        return {old.sub(lambda m: NAMES_OF_4[m[0]], name): t for name, t in found.items()}

    def save(self, folder: Path, transformers: int = 5) -> Path:
        """Writes a checkpoint folder with all that the Trainer leaves in one."""
        for config, name in ((self.teacher, "teacher_config"), (self.student, "student_config")):
            config.save_pretrained(folder / name)
        write(folder, self.tensors(transformers))
        (folder / "trainer_state.json").write_text('{"global_step": 7}')
        return folder


def write(folder: Path, tensors: dict[str, Tensor]) -> None:
    whole = {name: tensor.contiguous() for name, tensor in tensors.items()}
    save_file(whole, folder / "model.safetensors", metadata={"format": "pt"})


def labels(names: Sequence[str]) -> dict[str, Any]:
    return {"id2label": dict(enumerate(names)), "label2id": {n: i for i, n in enumerate(names)}}


class BlockResNetConfig(ResNetConfig):
    model_type = "block_resnet"


def resnet_config(**changes: Any) -> PreTrainedConfig:
    return BlockResNetConfig(
        **{
            "num_channels": 3,
            "embedding_size": 6,
            "embedder_kernel_size": 3,
            "embedder_kernel_stride": 1,
            "embedder_use_pooler": False,
            "downsample_in_first_stage": False,
            "layer_type": "basic",
            "hidden_act": "relu",
            "hidden_sizes": [4, 6, 8, 10],
            "depths": [1, 1, 1, 1],
            **labels("abcde"),
            **changes,
        }
    )


class BlockVggConfig(PreTrainedConfig):
    model_type = "block_vgg"


def vgg_config(**changes: Any) -> PreTrainedConfig:
    return BlockVggConfig(
        **{
            "in_channels": 3,
            "hidden_sizes": [4, 6, 8, 6, 8],
            "depths": [1, 1, 1, 1, 1],
            "pool_kernel": 2,
            "pool_stride": 2,
            **labels("abcde"),
            **changes,
        }
    )


class BlockVitConfig(ViTConfig):
    model_type = "block_vit"


def vit_config(*, blocks: int = 6, **changes: Any) -> PreTrainedConfig:
    layers = changes.get("layers_per_block", 1)
    return BlockVitConfig(
        **{
            "image_size": 16,
            "patch_size": 4,
            "num_channels": 3,
            "hidden_size": 12,
            "num_attention_heads": 3,
            "intermediate_size": 20,
            "layer_norm_eps": 1e-12,
            "hidden_act": "gelu",
            "qkv_bias": True,
            "layers_per_block": 1,
            "num_hidden_layers": blocks * layers,
            **labels("abcde"),
            **changes,
        }
    )


def twin(teacher: PreTrainedConfig, student: PreTrainedConfig, seed: int = 0) -> Twin:
    """A model of two configurations, every tensor of it random."""
    make = {BlockResNetConfig: resnet, BlockVggConfig: vgg, BlockVitConfig: vit}[type(teacher)]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        widths = list(zip(_widths(teacher), _widths(student), strict=True))
        swapnet = SwapNet(make(teacher), make(student), widths)
        for name, tensor in swapnet.state_dict().items():
            _randomize(name, tensor)
    return Twin(swapnet.eval(), teacher, student)


def _widths(config: Any) -> list[int]:
    if isinstance(config, ViTConfig):
        return [config.hidden_size] * (config.num_hidden_layers // config.layers_per_block)
    return list(config.hidden_sizes)


def _randomize(name: str, tensor: Tensor) -> None:
    if name.endswith("num_batches_tracked"):
        tensor.fill_(int(torch.randint(1, 1000, ())))
    elif name.endswith("running_var"):
        tensor.uniform_(0.5, 2.0)
    elif tensor.dim() > 1 and not name.endswith(("cls_token", "position_embeddings")):
        tensor.normal_(std=1.5 / tensor[0].numel() ** 0.5)
    elif name.endswith("weight"):
        tensor.uniform_(0.5, 1.5)
    else:
        tensor.normal_(std=0.5)
