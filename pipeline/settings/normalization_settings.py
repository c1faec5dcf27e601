"""How pixels become a model's inputs, where a profile states it."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from pipeline.core.toml_file import Section

_SCALE = "in units of the scale from 0 to 1 (pixel / 255)"
#: A quarter of what makes a step of one pixel value as large as 1; inputs divided by less overflow.
_LEAST_DEVIATION = 0.001


def _mean(value: float) -> float:
    if not 0 <= value <= 1:
        raise ValueError(f"a mean is from 0 to 1, {_SCALE}: divide one of 0 to 255 by 255")
    return value


def _deviation(value: float) -> float:
    if not _LEAST_DEVIATION <= value <= 1:
        raise ValueError(
            f"a deviation is above 0, {_LEAST_DEVIATION} at least, and at most 1, {_SCALE}: divide "
            "one of 0 to 255 by 255"
        )
    return value


#: In units of the scale from 0 to 1.
Mean = Annotated[float, AfterValidator(_mean)]
StandardDeviation = Annotated[float, AfterValidator(_deviation)]
Means = Annotated[tuple[Mean, ...], Field(min_length=1, max_length=64)]
StandardDeviations = Annotated[tuple[StandardDeviation, ...], Field(min_length=1, max_length=64)]


class NormalizationSettings(Section):
    """``(pixel / 255 - mean) / std`` per channel.

    Attributes:
        mean: one value a channel, in units of the scale from 0 to 1 (such as 0.485, not 123.675).
        std: the same.
    """

    mean: Means
    std: StandardDeviations

    @model_validator(mode="after")
    def _one_a_channel(self) -> Self:
        require_pair(self.mean, self.std)
        return self


def require_pair(mean: tuple[float, ...] | None, std: tuple[float, ...] | None) -> None:
    """Checks that there is a deviation for each mean.

    Raises:
        ValueError: there is none, or their numbers differ.
    """
    if (mean is None) != (std is None):
        raise ValueError("mean and std belong together: give both or neither")
    if mean is not None and std is not None and len(mean) != len(std):
        raise ValueError(
            f"mean has {len(mean)} values and std {len(std)}: give one of each a channel"
        )
