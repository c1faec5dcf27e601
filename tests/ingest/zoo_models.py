"""Image classifiers of the transformers library, tiny and with random weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers as hf
from torch import nn

CLASSES = 10
SHAPE = (3, 32, 32)


def vit() -> Any:
    return hf.ViTConfig(
        hidden_size=16,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=32,
        image_size=32,
        patch_size=8,
    )


def convnext() -> Any:
    return hf.ConvNextConfig(num_stages=3, hidden_sizes=[8, 16, 24], depths=[1, 2, 1])


def resnet() -> Any:
    return hf.ResNetConfig(
        embedding_size=8,
        hidden_sizes=[16, 32, 32],
        depths=[1, 2, 1],
        layer_type="bottleneck",
    )


def small_resnet() -> Any:
    """Gray, for a whole build."""
    sizes = {"embedding_size": 4, "hidden_sizes": [8, 16], "depths": [1, 1]}
    return hf.ResNetConfig(num_channels=1, layer_type="basic", **sizes)


def mobilenet() -> Any:
    return hf.MobileNetV2Config(depth_multiplier=0.35, image_size=32)


def swin() -> Any:
    return hf.SwinConfig(
        embed_dim=8, depths=[2, 2], num_heads=[2, 4], window_size=4, image_size=32, patch_size=4
    )


#: By name: what makes a configuration.
MODELS: dict[str, Callable[[], Any]] = {
    "ViT": vit,
    "ConvNeXt": convnext,
    "ResNet": resnet,
    "MobileNetV2": mobilenet,
    "Swin": swin,
}


def made(config: Any, classes: int = CLASSES) -> nn.Module:
    """A model of a configuration, in eval mode; its weights are the same every time."""
    torch.manual_seed(0)
    config.num_labels = classes
    network: nn.Module = hf.AutoModelForImageClassification.from_config(config)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):  # as training leaves them
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return network.eval()


def saved(config: Any, folder: Path, classes: int = CLASSES) -> nn.Module:
    """The same, saved as the library saves it."""
    network = made(config, classes)
    network.save_pretrained(folder)
    return network
