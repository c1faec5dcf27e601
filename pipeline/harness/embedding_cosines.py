"""What a device says of the embeddings that it gives: vectors themselves would be too much."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, NonNegativeInt, model_validator

from pipeline.core.toml_file import Section


class EmbeddingCosines(Section):
    """How near a stage's embeddings of the evaluation images are to the teacher's.

    Attributes:
        stage: which one.
        cosines: by image, of the stage's embedding to the teacher's; that of zeros alone is 1 to
            zeros and 0 to all else; null where the stage's holds NaN or infinity.
        lost: how many do.
    """

    stage: int
    cosines: Annotated[tuple[Annotated[float, Field(ge=-1, le=1)] | None, ...], Field(min_length=1)]
    lost: NonNegativeInt

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if self.lost != self.cosines.count(None):
            raise ValueError(f"{self.cosines.count(None)} cosines are null, lost is {self.lost}")
        return self

    @property
    def values(self) -> tuple[float, ...]:
        """Those of all images; 0, which is near nothing, of what is no vector."""
        return tuple(0.0 if cosine is None else cosine for cosine in self.cosines)
