"""How a checkpoint's images were normalized, where Hugging Face's image processor wrote it down."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.core.errors import UsageError
from pipeline.data.normalization import Normalization
from pipeline.ingest.reference.checkpoint import ReferenceCheckpoint
from pipeline.settings import NormalizationSettings

Values = Annotated[tuple[float, ...], Field(min_length=1, max_length=64)]


class PreprocessorConfig(BaseModel):
    """What of a preprocessor_config.json decides the values that a network is given.

    Attributes:
        do_rescale: whether pixels are multiplied by `rescale_factor` first.
        do_normalize: whether `image_mean` is subtracted and the rest divided by `image_std` then.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    do_rescale: bool = True
    rescale_factor: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1 / 255
    do_normalize: bool = True
    image_mean: Values | None = None
    image_std: Values | None = None

    def normalization(self) -> NormalizationSettings | None:
        """The same as ``(pixel / 255 - mean) / std``; None where mean or std is not said.

        Raises:
            ValidationError: the values cannot be meant.
        """
        if self.image_mean is None or self.image_std is None or not self.do_normalize:
            return None
        full = 255 * self.rescale_factor if self.do_rescale else 255  # what white becomes first
        return NormalizationSettings(
            mean=tuple(value / full for value in self.image_mean),
            std=tuple(value / full for value in self.image_std),
        )


def stated_normalization(checkpoint: ReferenceCheckpoint) -> Normalization | None:
    """The normalization that a checkpoint states, if it does.

    Raises:
        UsageError: its preprocessor_config.json cannot be read or holds wrong values.
    """
    path = checkpoint.preprocessor
    if path is None:
        return None
    try:
        stated = PreprocessorConfig.model_validate_json(path.read_bytes()).normalization()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}", "correct it") from None
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(map(str, problem["loc"])) or "the file"
        raise UsageError(
            f"{path}: {place}: {str(problem['msg']).removeprefix('Value error, ')}",
            "correct it, or move it away and set mean and std in [data]",
        ) from None
    return None if stated is None else Normalization(stated.mean, stated.std)
