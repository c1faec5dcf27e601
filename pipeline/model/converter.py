"""Converters: linear maps over channels that stand where blocks of different models meet."""

from __future__ import annotations

from torch import Tensor, nn

from pipeline.core.errors import UsageError


class MissingConverter(nn.Module):
    """Stands where a trained model came without a converter that some routes need.

    Args:
        source: where the model came from.
        boundary: index of the block before it.
    """

    def __init__(self, source: str, boundary: int) -> None:
        super().__init__()
        self._source = source
        self._boundary = boundary

    def forward(self, features: Tensor) -> Tensor:
        raise UsageError(
            f"{self._source} gave no decoder behind block {self._boundary}, which this route needs",
            "give decoders, or ask for routes that begin with the teacher's blocks",
        )


def make_converter(source: tuple[int, ...], target: tuple[int, ...], boundary: int) -> nn.Module:
    """A map from features of shape `source` to features of shape `target` (no batch axis).

    Equal shapes need none: the result is `nn.Identity`. Images ``[channels, height, width]`` and
    signals ``[channels, time]`` get a convolution of one place, token sequences ``[tokens, width]``
    and vectors ``[width]`` a linear layer (arXiv 2509.22319).

    Raises:
        UsageError: the shapes differ in more than the channels; names the boundary.
    """
    if source == target:
        return nn.Identity()
    if len(source) == len(target) == 3 and source[1:] == target[1:]:
        return nn.Conv2d(source[0], target[0], kernel_size=1)
    if len(source) == len(target) == 2 and source[1] == target[1]:
        return nn.Conv1d(source[0], target[0], kernel_size=1)
    if len(source) == len(target) in (1, 2) and source[:-1] == target[:-1]:
        return nn.Linear(source[-1], target[-1])
    raise UsageError(
        f"block {boundary}: teacher and student outputs {list(source)} and {list(target)} "
        "differ in more than the channels",
        "give both the same strides or patches, so that all other sizes agree after each block",
    )
