"""A model of a library as a network of tensors alone."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import torch
from torch import Tensor, nn

from pipeline.core.errors import UsageError, first_lines
from pipeline.ingest.inner_network import InnerNetwork
from pipeline.ingest.probe import probe_images
from pipeline.settings import TaskKind

#: What to say of a model that gives no vector, and how to have one of it.
NOT_POOLED: Final = "gives features that are not pooled, which is no embedding"
POOL_IT: Final = (
    'name a function that makes them one vector: source = "python:FILE.py:FUNCTION" in [model], '
    "as docs/embeddings.md shows it"
)


class LibraryNetwork(InnerNetwork):
    """A network of transformers that takes images and gives one tensor, not a table of outputs.

    Args:
        network: the library's: of a class called ``...ForImageClassification``,
            ``...ForSemanticSegmentation``, or one that gives features.
        task: which of its outputs is the answer: logits, or the pooled features.
        shape: channels, height and width of the images. Logits of pixels are resized to that height
            and width as the library's image processors do it.
    """

    def __init__(self, network: nn.Module, task: TaskKind, shape: tuple[int, ...]) -> None:
        super().__init__(network)
        self._task, self._size = task, shape[1:]

    def forward(self, images: Tensor) -> Tensor:
        """Answers to images ``[n, channels, height, width]``, as `require_answer` wants them."""
        outputs = self.run_inner(pixel_values=images)
        if self._task == "embedding":
            return self._pooled(outputs)
        logits: Tensor = outputs.logits
        if self._task == "dense" and tuple(logits.shape[2:]) != self._size:
            return nn.functional.interpolate(logits, self._size, mode="bilinear")
        return logits

    def _pooled(self, outputs: Any) -> Tensor:
        pooled: Tensor | None = getattr(outputs, "pooler_output", None)
        if pooled is None:
            raise UsageError(f"{type(self._network[0]).__name__} {NOT_POOLED}", POOL_IT)
        return pooled.flatten(1)


def require_images(
    place: str, network: nn.Module, shape: tuple[int, ...], channels: int, size: object
) -> None:
    """Makes sure that a classifier runs on the images that it is to be given.

    Args:
        place: how errors call it.
        network: the classifier, in eval mode.
        shape: channels, height and width of the images.
        channels: how many it takes.
        size: the side of the images that it was made for, if one is known.

    Raises:
        UsageError: it takes others.
    """
    if channels != shape[0]:
        raise UsageError(
            f"{place} takes images of {channels} channel(s), the data's have {shape[0]}",
            f"set channels = {channels} in [data] where the source has it, as those of image files "
            "do; of others, such as digits, give a network for such images by a function, "
            'source = "python:FILE.py:FUNCTION"',
        )
    try:
        with torch.no_grad():
            network(probe_images(shape))
    except UsageError as error:
        raise UsageError(f"{place}: {error.what}", error.remedy) from None
    except Exception as error:  # of the library's code
        raise UsageError(
            f"{place} takes no images {list(shape)} (channels, height, width): "
            f"{type(error).__name__}: {first_lines(error)}",
            f"set image_size in [data]{f' to {size}' if isinstance(size, int) else ''}",
        ) from error


@contextmanager
def without_logs() -> Iterator[None]:
    """Keeps libraries from logging what is told here in our own words, or to us."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
