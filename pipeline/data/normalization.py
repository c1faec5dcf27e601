"""How pixels become what a model takes: stated by somebody, or computed from training images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:  # imported where it is used: naming a data set must be quick
    from torch import Tensor

#: Two statements of a mean or deviation, on the scale from 0 to 1, that differ by less are one.
_ROUNDING = 1e-5
#: Images that are worked on at once where all of them would take too much memory.
_CHUNK = 256
#: What a data set holds: uint8 pixels, or float32 values of tensors.
Values = npt.NDArray[np.uint8 | np.float32]


class Inputs(Protocol):
    """Model inputs by their indices; a tensor ``[n, ...]`` is one."""

    def __len__(self) -> int: ...

    def __getitem__(self, which: Tensor | slice, /) -> Tensor: ...


@dataclass(frozen=True, slots=True)
class Normalization:
    """How a pixel becomes a model input: ``(pixel / 255 - mean) / std`` per channel, in float32."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def apply(self, images: Values) -> Tensor:
        """Model inputs ``[n, channels, height, width]`` (channels last in memory).

        Args:
            images: uint8 ``[n, height, width, channels]``.
        """
        from pipeline.data.transfer import tensor_of

        return self.apply_to(tensor_of(images))

    def apply_to(self, pixels: Tensor) -> Tensor:
        """The same of a tensor, on the device where it is; a GPU gives the same bits."""
        import torch

        from pipeline.data.transfer import moved

        # Of a number in place of a tensor, a GPU would multiply by the reciprocal.
        full, mean, std = (
            moved(torch.tensor(each), pixels.device) for each in (255.0, self.mean, self.std)
        )
        inputs = (pixels.to(torch.float32) / full - mean) / std
        return inputs.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)

    def inputs(self, images: Values) -> LazyInputs:
        """The same, made when they are asked for: in float32 all would take four times as much."""
        return LazyInputs(self, images)

    @classmethod
    def of(cls, images: Values) -> Normalization:
        """The mean and standard deviation of each channel, rounded to six places.

        A channel that is the same everywhere is moved to 0 and left as large as it is.

        Args:
            images: uint8 ``[n, height, width, channels]``.
        """
        found = [_moments(_histogram(images[..., c])) for c in range(images.shape[3])]
        mean = tuple(round(mean / 255.0, 6) for mean, _ in found)
        return cls(mean, tuple(round(std / 255.0, 6) or 1.0 for _, std in found))

    def agrees_with(self, other: object) -> bool:
        """Whether both say the same, but for rounding."""
        if not isinstance(other, Normalization):
            return False
        own, others = (*self.mean, *self.std), (*other.mean, *other.std)
        return len(self.mean) == len(other.mean) and bool(np.allclose(own, others, 0, _ROUNDING))

    def __str__(self) -> str:
        mean, std = (" ".join(f"{value:g}" for value in values) for values in (self.mean, self.std))
        return f"mean {mean}, std {std}"


class _Rule(Protocol):
    """How what a data set holds becomes what a model reads."""

    def apply_to(self, values: Tensor, /) -> Tensor: ...


@dataclass(frozen=True, slots=True)
class LazyInputs:
    """Model inputs that are made when they are asked for.

    Attributes:
        rule: how.
        values: what a data set holds.
    """

    rule: _Rule
    values: Values

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, which: Tensor | slice, /) -> Tensor:
        return self.rule.apply_to(self.picked(which))

    def picked(self, which: Tensor | slice) -> Tensor:
        """What a data set holds there."""
        from pipeline.data.transfer import tensor_of

        return tensor_of(self.values[which if isinstance(which, slice) else which.numpy()])


def _histogram(values: Values) -> npt.NDArray[np.float64]:
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
