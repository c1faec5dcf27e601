"""What a model answers to images that never change: the last word on whether it is the same one.

A file or a variable that is read while a block runs changes nothing that could be seen otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from pipeline.core.random_state import own_random_numbers
from pipeline.data.memory_order import natural_order
from pipeline.model.blocknet import BlockNet
from pipeline.model.converter import MissingConverter
from pipeline.model.pwl import PwlModel

_IMAGES = 8


def answer_images(shape: tuple[int, ...]) -> Tensor:
    """Images, float32 ``[8, channels, height, width]``, as normalized ones may be; always the same.
    Other tensors where the shape is another one.

    From plain gray to noise. The random numbers of the caller stay as they are.
    """
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(_IMAGES, *shape, generator=generator)
    strength = torch.linspace(0, 1, _IMAGES).reshape(-1, *(1 for _ in shape))
    return natural_order(noise * strength)


@torch.no_grad()
def network_answers(name: str, network: BlockNet, images: Tensor) -> dict[str, Tensor]:
    """What embedder, blocks and classifier of a network in eval mode make of images, by place."""
    found: dict[str, Tensor] = {}
    features = network.embedder(images.clone())
    for index, block in enumerate(network.blocks):
        # A copy: a block may change what it is given, where nothing else reads it.
        features = block(features.clone())
        found[f"{name}.blocks.{index} answers"] = features
    found[f"{name}.classifier answers"] = network.classifier(features.clone())
    return found


@torch.no_grad()
def answers_of(model: PwlModel, images: Tensor) -> dict[str, Tensor]:
    """What every block, classifier and converter of a model in eval mode answers, by place.

    The same bytes on the same kind of machine, however many threads it computes with.

    Args:
        model: in eval mode, on the processor.
        images: as `answer_images` makes them.
    """
    with one_thread(), own_random_numbers(0):
        teacher = network_answers("teacher", model.teacher, images)
        student = network_answers("student", model.student, images)
        found = {**teacher, **student}
        for kind, converters, answers in (
            ("encoders", model.encoders, teacher),
            ("decoders", model.decoders, student),
        ):
            role = "teacher" if kind == "encoders" else "student"
            for index, converter in enumerate(converters):
                if not isinstance(converter, nn.Identity | MissingConverter):
                    features = answers[f"{role}.blocks.{index} answers"]
                    found[f"{kind}.{index} answers"] = converter(features.clone())
        return found


@contextmanager
def one_thread() -> Iterator[None]:
    """Has torch compute with one thread: several add up in another order, and round otherwise."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
