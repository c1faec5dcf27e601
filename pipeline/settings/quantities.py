"""Numbers as profiles hold them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

Count = Annotated[int, Field(ge=1)]
Side = Annotated[int, Field(ge=1, le=1024)]  # of an image, in pixels
Rate = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
#: Of two directions, 1 being the same.
Cosine = Annotated[float, Field(ge=-1, le=1)]
Weight = Annotated[float, Field(ge=0)]
