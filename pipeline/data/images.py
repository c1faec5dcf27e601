"""Labeled images in memory, and the two ways in which models see them.

They stay one byte a value; what models take is made of as many as are needed at a time. What is no
image, such as a sound, lies here as float32 values in the order of PyTorch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from pipeline.core.errors import UsageError
from pipeline.data.label_maps import Labels, are_embeddings, metric_of_labels
from pipeline.data.normalization import Normalization, Values
from pipeline.data.tensors import InputRule, Standardization
from pipeline.settings import TaskMetric

#: The largest number of a label.
MOST_LABEL = 2**16 - 1


@dataclass(frozen=True, slots=True)
class ImageSpec:
    """The images that a model takes, or other tensors.

    Attributes:
        channels: of an image; of another tensor, the first axis behind the batch.
        size: height and width, or all other axes; None where any height and width will do.
        normalization: what makes inputs of plain images; None where it is not known, and only
            normalized images can be taken.
        smallest: where any size will do, the least height and width that poolings leave something
            of.
        vocabulary: of a model that reads tokens as floats: how many different ones there are.
    """

    channels: int
    size: tuple[int, ...] | None
    normalization: Normalization | None
    smallest: int = 1
    vocabulary: int | None = None

    def kind_of(self, array: npt.NDArray[Any]) -> Literal["normalized", "plain", "tokens"] | None:
        """What an array of images is for the model; None when it cannot be used."""
        if array.ndim < 2:
            return None
        if self.vocabulary is not None:
            fits = array.dtype.kind in "iu" and 0 <= array.min() <= array.max() < self.vocabulary
            return "tokens" if fits and self.takes(array.shape[1], array.shape[2:]) else None
        if array.dtype == np.float32 and self.takes(array.shape[1], array.shape[2:]):
            return "normalized"
        if array.ndim == 4 and array.dtype == np.uint8 and self.normalization is not None:
            return "plain" if self.takes(array.shape[3], array.shape[1:3]) else None
        return None

    def takes(self, channels: int, size: tuple[int, ...]) -> bool:
        """Whether images of some channels, height and width fit the model."""
        fits = len(size) == 2 if self.size is None else self.size == size
        return channels == self.channels and fits and min(size, default=1) >= self.smallest

    def __str__(self) -> str:
        sizes = ("height", "width") if self.size is None else self.size
        shape = ", ".join(map(str, ("n", self.channels, *sizes)))
        if self.vocabulary is not None:
            return f"this model takes whole numbers [{shape}] from 0 to {self.vocabulary - 1}"
        wanted = f"this model takes float32 [{shape}] (normalized)"
        if self.size is None and self.smallest > 1:
            wanted += f", height and width {self.smallest} or more"
        if self.normalization is None:
            return wanted
        height, width = sizes
        return f"{wanted} or uint8 [n, {height}, {width}, {self.channels}] (plain)"


@dataclass(frozen=True, slots=True)
class ImageSet:
    """Images and their labels.

    Attributes:
        images: uint8 ``[n, height, width, channels]``; of other tensors their values, float32
            ``[n, ...]``.
        labels: int64 ``[n]``, indices into `Dataset.names`; of a dense task label maps, uint8
            ``[n, height, width]``, with `IGNORED` where a pixel has none; of embeddings
            the teacher's, float32 ``[n, width]``.
    """

    images: Values
    labels: Labels

    def __len__(self) -> int:
        return len(self.labels)

    def first(self, count: int | None) -> ImageSet:
        """The first `count` images, or all."""
        return ImageSet(self.images[:count], self.labels[:count])

    def shuffled(self, seed: int, count: int | None = None) -> ImageSet:
        """The same images in an order that the seed decides; the first `count` of them, or all."""
        order = np.random.default_rng(seed).permutation(len(self))[:count]
        return ImageSet(self.images[order], self.labels[order])

    def resized(self, size: int | None) -> ImageSet:
        """The images at `size` by `size` pixels (bilinear, antialiased when they shrink).

        By Pillow, like encoded images: what an app has to repeat is one rule, to the last bit.
        """
        if size is None or self.images.shape[1:3] == (size, size):
            return self
        from PIL import Image

        images = np.empty((len(self), size, size, self.images.shape[3]), np.uint8)
        for index, image in enumerate(self.images):
            for channel in range(image.shape[2]):
                plane = Image.fromarray(np.ascontiguousarray(image[..., channel]))
                resized = plane.resize((size, size), Image.Resampling.BILINEAR)
                images[index, ..., channel] = np.asarray(resized)
        return ImageSet(images, self.labels)


@dataclass(frozen=True, slots=True)
class Dataset:
    """A training and a test set, with the names of the labels.

    Attributes:
        train: what is learnt from.
        test: what accuracy is measured on.
        names: of the labels, in the order of the logits.
        normalization: how images, or the values of other tensors, become inputs.
        held_out: images kept from training, to choose by.
        stated_by: who states the normalization; None where it was computed from the training
            images, held out ones included.
        notes: what could not be taken quite as it is, a sentence each.
        vocabulary: how many different tokens there are, where the values are tokens.
    """

    train: ImageSet
    test: ImageSet
    names: tuple[str, ...]
    normalization: InputRule
    held_out: ImageSet | None = None
    stated_by: Literal["profile", "model"] | None = None
    notes: tuple[str, ...] = ()
    vocabulary: int | None = None

    @property
    def choosing(self) -> ImageSet:
        """The images that choose which stages ship."""
        return self.test if self.held_out is None else self.held_out

    def holding_out(self, count: int | None, seed: int) -> Dataset:
        """The same data with `count` training images, chosen by the seed, kept from training.

        The normalization stays that of all of them.

        Raises:
            UsageError: nothing would be left to train on.
        """
        if count is None:
            return self
        left = len(self.train) - count
        if left < 1:
            raise UsageError(
                f"schedule.held_out = {count} leaves none of {len(self.train)} training images",
                "hold out fewer",
            )
        mixed = self.train.shuffled(seed)
        train = mixed.first(left)
        held_out = ImageSet(mixed.images[left:], mixed.labels[left:])
        return replace(self, train=train, held_out=held_out)

    @property
    def tensors(self) -> bool:
        """Whether these are no images but other tensors."""
        return isinstance(self.normalization, Standardization)

    @property
    def map_size(self) -> tuple[int, ...]:
        """Height and width of the label maps of a dense task; empty of any other."""
        labels = self.train.labels
        return labels.shape[1:] if labels.ndim == 3 else ()

    @property
    def embeds(self) -> bool:
        """Whether the labels are the teacher's embeddings."""
        return are_embeddings(self.train.labels)

    @property
    def metric(self) -> TaskMetric:
        """What models of it are judged by."""
        return metric_of_labels(self.train.labels)

    @property
    def kind(self) -> Literal["image", "tensor", "tokens"]:
        """What one input is."""
        if self.vocabulary is not None:
            return "tokens"
        return "tensor" if self.tensors else "image"

    def require_images(self, what: str) -> None:
        """Refuses other tensors for what is of images alone.

        Args:
            what: is so, for errors.

        Raises:
            UsageError: the data holds tensors.
        """
        if self.tensors:
            raise UsageError(
                f"the data holds tensors {list(self.image_shape)}, which are no images: {what} "
                "cannot be used with them",
                "leave it out; networks for tensors come from python:FILE.py:FUNCTION, mean and "
                "std of tensors are those of [data]; images in an .npz file are uint8 "
                "[n, height, width] or [n, height, width, channels]",
            )

    def normalized(self, stated: Normalization, by: Literal["profile", "model"]) -> Dataset:
        """The same data with a normalization that somebody states.

        Raises:
            UsageError: it is of another number of channels than the images, or these are none.
        """
        self.require_images(f"mean and std that the {by} states")
        channels = self.image_shape[0]
        if len(stated.mean) != channels:
            raise UsageError(
                f"the {by} states mean and std of {len(stated.mean)} channel(s), but the images "
                f"have {channels}",
                "give one mean and one deviation a channel",
            )
        return replace(self, normalization=stated, stated_by=by)

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Channels, height, width; of other tensors the shape of one, without the batch axis."""
        if self.tensors:
            return self.train.images.shape[1:]
        height, width, channels = self.train.images.shape[1:]
        return (channels, height, width)

    @property
    def spec(self) -> ImageSpec:
        """The images that a model of this data takes."""
        channels, *size = self.image_shape
        plain = self.normalization if isinstance(self.normalization, Normalization) else None
        return ImageSpec(channels, tuple(size), plain, vocabulary=self.vocabulary)
