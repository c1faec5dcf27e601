"""Labelled images in memory, and the two ways in which models see them.

They stay one byte a value; what models take is made of as many as are needed at a time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from pipeline.core.errors import UsageError

if TYPE_CHECKING:  # imported where it is used: naming a data set must be quick
    from torch import Tensor


#: Two statements of a mean or deviation, on the scale from 0 to 1, that differ by less are one.
_ROUNDING = 1e-5
#: Images that are worked on at once where all of them would take too much memory.
_CHUNK = 256


class Inputs(Protocol):
    """Model inputs by their indices; a tensor ``[n, channels, height, width]`` is one."""

    def __len__(self) -> int: ...

    def __getitem__(self, which: Tensor | slice, /) -> Tensor: ...


@dataclass(frozen=True, slots=True)
class Normalisation:
    """How a pixel becomes a model input: ``(pixel / 255 - mean) / std`` per channel, in float32."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def apply(self, images: npt.NDArray[np.uint8]) -> Tensor:
        """Model inputs ``[n, channels, height, width]`` (channels last in memory).

        Args:
            images: uint8 ``[n, height, width, channels]``.
        """
        import torch

        pixels = torch.from_numpy(images).to(torch.float32)
        inputs = (pixels / 255.0 - torch.tensor(self.mean)) / torch.tensor(self.std)
        return inputs.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)

    def inputs(self, images: npt.NDArray[np.uint8]) -> Inputs:
        """The same, made when they are asked for: in float32 all would take four times as much."""
        return _Normalised(self, images)

    @classmethod
    def of(cls, images: npt.NDArray[np.uint8]) -> Normalisation:
        """The mean and standard deviation of each channel, rounded to six places.

        A channel that is the same everywhere is moved to 0 and left as large as it is.

        Args:
            images: uint8 ``[n, height, width, channels]``.
        """
        found = [_moments(_histogram(images[..., c])) for c in range(images.shape[3])]
        mean = tuple(round(mean / 255.0, 6) for mean, _ in found)
        return cls(mean, tuple(round(std / 255.0, 6) or 1.0 for _, std in found))

    def agrees_with(self, other: Normalisation) -> bool:
        """Whether both say the same, but for rounding."""
        ours, theirs = (*self.mean, *self.std), (*other.mean, *other.std)
        return len(self.mean) == len(other.mean) and bool(np.allclose(ours, theirs, 0, _ROUNDING))

    def __str__(self) -> str:
        mean, std = (" ".join(f"{value:g}" for value in values) for values in (self.mean, self.std))
        return f"mean {mean}, std {std}"


@dataclass(frozen=True, slots=True)
class _Normalised:
    normalisation: Normalisation
    images: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, which: Tensor | slice, /) -> Tensor:
        chosen = which if isinstance(which, slice) else which.numpy()
        return self.normalisation.apply(self.images[chosen])


def _histogram(values: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """How often each of the 256 values occurs, ``[256]``."""
    counts = np.zeros(256)
    for start in range(0, len(values), _CHUNK):
        counts += np.bincount(values[start : start + _CHUNK].reshape(-1), minlength=256)
    return counts


def _moments(counts: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Mean and standard deviation of the values 0 to 255."""
    values, share = np.arange(256.0), counts / counts.sum()
    mean = float(values @ share)
    return mean, float(np.sqrt((values - mean) ** 2 @ share))


@dataclass(frozen=True, slots=True)
class ImageSpec:
    """The images that a model takes.

    Attributes:
        channels: of an image.
        size: height and width; None where any will do.
        normalisation: what makes inputs of plain images; None where it is not known, and only
            normalised images can be taken.
        smallest: where any size will do, the least height and width that poolings leave something
            of.
    """

    channels: int
    size: tuple[int, int] | None
    normalisation: Normalisation | None
    smallest: int = 1

    def kind_of(self, array: npt.NDArray[Any]) -> Literal["normalised", "plain"] | None:
        """What an array of images is for the model; None when it cannot be used."""
        if array.ndim != 4:
            return None
        if array.dtype == np.float32 and self.takes(array.shape[1], array.shape[2:]):
            return "normalised"
        if array.dtype == np.uint8 and self.normalisation is not None:
            return "plain" if self.takes(array.shape[3], array.shape[1:3]) else None
        return None

    def takes(self, channels: int, size: tuple[int, ...]) -> bool:
        """Whether images of some channels, height and width fit the model."""
        return (
            channels == self.channels and self.size in (None, size) and min(size) >= self.smallest
        )

    def __str__(self) -> str:
        height, width = self.size or ("height", "width")
        wanted = f"this model takes float32 [n, {self.channels}, {height}, {width}] (normalised)"
        if self.size is None and self.smallest > 1:
            wanted += f", height and width {self.smallest} or more"
        if self.normalisation is None:
            return wanted
        return f"{wanted} or uint8 [n, {height}, {width}, {self.channels}] (plain)"


@dataclass(frozen=True, slots=True)
class ImageSet:
    """Images and their labels.

    Attributes:
        images: uint8 ``[n, height, width, channels]``.
        labels: int64 ``[n]``, indices into `Dataset.names`.
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    def first(self, count: int | None) -> ImageSet:
        """The first `count` images, or all."""
        return ImageSet(self.images[:count], self.labels[:count])

    def shuffled(self, seed: int) -> ImageSet:
        """The same images in an order that the seed decides."""
        order = np.random.default_rng(seed).permutation(len(self))
        return ImageSet(self.images[order], self.labels[order])

    def resized(self, size: int | None) -> ImageSet:
        """The images at `size` by `size` pixels (bilinear, antialiased when they shrink)."""
        if size is None or self.images.shape[1:3] == (size, size):
            return self
        import torch
        import torch.nn.functional as F

        images = np.empty((len(self), size, size, self.images.shape[3]), np.uint8)
        for start in range(0, len(self), _CHUNK):
            part = slice(start, start + _CHUNK)
            pixels = torch.from_numpy(self.images[part]).permute(0, 3, 1, 2).to(torch.float32)
            pixels = F.interpolate(pixels, (size, size), mode="bilinear", antialias=True)
            pixels = pixels.round().clamp(0, 255).to(torch.uint8)
            images[part] = pixels.permute(0, 2, 3, 1).numpy()
        return ImageSet(images, self.labels)


@dataclass(frozen=True, slots=True)
class Dataset:
    """A training and a test set, with the names of the labels.

    Attributes:
        train: what is learnt from.
        test: what accuracy is measured on.
        names: of the labels, in the order of the logits.
        normalisation: how images become inputs.
        held_out: images kept from training, to choose by.
        stated_by: who states the normalisation; None where it was computed from the training
            images, held out ones included.
        notes: what could not be taken quite as it is, a sentence each.
    """

    train: ImageSet
    test: ImageSet
    names: tuple[str, ...]
    normalisation: Normalisation
    held_out: ImageSet | None = None
    stated_by: Literal["profile", "model"] | None = None
    notes: tuple[str, ...] = ()

    @property
    def choosing(self) -> ImageSet:
        """The images that choose which stages ship."""
        return self.test if self.held_out is None else self.held_out

    def holding_out(self, count: int | None, seed: int) -> Dataset:
        """The same data with `count` training images, chosen by the seed, kept from training.

        The normalisation stays that of all of them.

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

    def normalized(self, stated: Normalisation, by: Literal["profile", "model"]) -> Dataset:
        """The same data with a normalization that somebody states.

        Raises:
            UsageError: it is of another number of channels than the images.
        """
        channels = self.image_shape[0]
        if len(stated.mean) != channels:
            raise UsageError(
                f"the {by} states mean and std of {len(stated.mean)} channel(s), but the images "
                f"have {channels}",
                "give one mean and one deviation a channel",
            )
        return replace(self, normalisation=stated, stated_by=by)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height, width."""
        height, width, channels = self.train.images.shape[1:]
        return (channels, height, width)

    @property
    def spec(self) -> ImageSpec:
        """The images that a model of this data takes."""
        channels, height, width = self.image_shape
        return ImageSpec(channels, (height, width), self.normalisation)
