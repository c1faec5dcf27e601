"""Values that are no pixels, such as a sensor's or a sound's: how they become model inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.data.normalization import LazyInputs, Normalization, Values

if TYPE_CHECKING:  # imported where it is used: naming a data set must be quick
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Standardization:
    """How a value becomes a model input: ``(value - mean) / std``, in float32; or as it is.

    Attributes:
        mean: one value for all, or one for each entry of the first axis behind the batch; none:
            values are taken as they are.
        std: the same.
    """

    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    def apply(self, images: Values) -> Tensor:
        """Model inputs ``[n, ...]``; of four axes, they lie channels last in memory.

        Args:
            images: the values, float32 ``[n, ...]``.
        """
        from pipeline.data.transfer import tensor_of

        return self.apply_to(tensor_of(images))

    def apply_to(self, values: Tensor) -> Tensor:
        """The same of a tensor, on the device where it is; a GPU gives the same bits."""
        import torch

        from pipeline.data.memory_order import natural_order
        from pipeline.data.transfer import moved

        if self.mean:
            shape = [len(self.mean), *(1 for _ in range(values.dim() - 2))]
            mean, std = (
                moved(torch.tensor(each).reshape(shape), values.device)
                for each in (self.mean, self.std)
            )
            values = (values - mean) / std
        return natural_order(values)

    def inputs(self, images: Values) -> LazyInputs:
        """The same, made when they are asked for."""
        return LazyInputs(self, images)

    def agrees_with(self, other: object) -> bool:
        """Whether both say the same; a normalization of images never does."""
        return self == other

    def __str__(self) -> str:
        if not self.mean:
            return "values as they are"
        mean, std = (" ".join(f"{value:g}" for value in values) for values in (self.mean, self.std))
        return f"mean {mean}, std {std} of values"


#: How what a data set holds becomes what a model reads.
InputRule = Normalization | Standardization
