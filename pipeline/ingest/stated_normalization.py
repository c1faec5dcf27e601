"""The normalization that a model's source states: checked, and set beside the profile's."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ValidationError

from pipeline.core.errors import UsageError
from pipeline.data.images import Dataset
from pipeline.data.normalization import Normalization
from pipeline.settings import NormalizationSettings, SourceModel

_REMEDY = (
    "give pipeline.ingest.python.Normalization(mean=(...), std=(...)), one value a channel in "
    "units of the scale from 0 to 1, or None"
)


def normalization_of(source: str, given: object, channels: int) -> Normalization | None:
    """What a user's function states.

    Args:
        source: how errors call the function.
        given: a `Normalization`, a pair of mean and std, or None.
        channels: of an image.

    Raises:
        UsageError: it is something else, on another scale, or of another number of channels.
    """
    match given:
        case None:
            return None
        case Normalization(mean=mean, std=std) | (mean, std) | {"mean": mean, "std": std}:
            pass
        case _:
            raise UsageError(f"{source}: normalization is {type(given).__name__}", _REMEDY)
    try:
        table = NormalizationSettings(mean=_values(mean), std=_values(std))
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(["normalization", *map(str, problem["loc"])])
        message = str(problem["msg"]).removeprefix("Value error, ")
        raise UsageError(f"{source}: {place}: {message}", _REMEDY) from None
    if len(table.mean) != channels:
        raise UsageError(
            f"{source}: normalization has {len(table.mean)} values, image_shape {channels} "
            "channels",
            _REMEDY,
        )
    return Normalization(table.mean, table.std)


def normalized(
    dataset: Dataset, stated: Normalization, source: SourceModel, by: Literal["profile", "model"]
) -> Dataset:
    """The data with a normalization that somebody states.

    Args:
        dataset: whose normalization may be stated already.
        stated: another statement.
        source: the model's.
        by: who states it: the profile's ``[model]`` table, or the source itself.

    Raises:
        UsageError: two statements differ.
    """
    if dataset.stated_by is None:
        return dataset.normalized(stated, by)
    if dataset.normalization.agrees_with(stated):
        return dataset
    place = "[model] normalization" if by == "profile" else source.source
    raise UsageError(
        f"two normalizations are stated:\n  the profile: {dataset.normalization}\n"
        f"  {place}: {stated}",
        "keep the one that the model was trained with: correct the other, or leave it out",
    )


def _values(given: Any) -> Any:
    """Numbers of a list, an array or a tensor."""
    try:
        return tuple(float(value) for value in given)
    except (TypeError, ValueError):
        return given  # which is then told to be no list of numbers
