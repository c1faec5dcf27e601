"""An image classifier of a library as a network of tensors alone."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from pipeline.core.errors import UsageError, first_lines
from pipeline.ingest.inner_network import InnerNetwork
from pipeline.ingest.probe import probe_images


class ImageClassifier(InnerNetwork):
    """A classifier that takes images and gives logits, not a table of outputs.

    Its network is of a class of transformers called ``...ForImageClassification``.
    """

    def forward(self, images: Tensor) -> Tensor:
        """Logits ``[n, classes]`` of images ``[n, channels, height, width]``."""
        logits: Tensor = self.run_inner(pixel_values=images).logits
        return logits


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
            f"set channels = {channels} in [data] where the source has it",
        )
    try:
        with torch.no_grad():
            network(probe_images(shape))
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
