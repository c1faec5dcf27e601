"""Image classifiers of the transformers library, as a profile's source gives them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import nn

from pipeline.ingest.zoo.library_network import LibraryNetwork
from tests.ingest import zoo_models

CLASSES = 6


def deit() -> Any:
    import transformers as hf

    return hf.DeiTConfig(
        architectures=["DeiTForImageClassificationWithTeacher"],
        hidden_size=16,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=32,
        image_size=32,
        patch_size=8,
    )


def _classifier(config: Callable[[], Any]) -> nn.Module:
    return LibraryNetwork(zoo_models.made(config(), CLASSES), "classification", zoo_models.SHAPE)


#: Names, and what makes a network of each.
LIBRARY = [
    (name, partial(_classifier, config))
    for name, config in {**zoo_models.MODELS, "DeiT": deit}.items()
]
