"""The ``[task]`` table: what the networks answer, which decides how good an answer is."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pipeline.core.toml_file import Section

#: What pixels without a label hold in label maps, whatever their file calls them.
IGNORED = 255

TaskKind = Literal["classification", "dense", "embedding"]


class TaskSettings(Section):
    """What the networks answer.

    Attributes:
        kind: "classification" gives a label to an input: logits ``[n, classes]``, judged by top-1
            accuracy. "dense" gives one to each pixel: logits ``[n, classes, height, width]``,
            judged by per-pixel accuracy, which the stages are chosen by, and by mean IoU; its data
            are an .npz file with label maps ``[n, height, width]``, or a folder of images and
            maps, its networks your own.
            "embedding" gives a vector ``[n, width]``, judged by the mean cosine to the teacher's,
            which the student learns: data need no labels, and the teacher, your own, is used as it
            is.
        ignore_index: of a dense task: pixels with this label are neither learned nor judged.
    """

    kind: TaskKind = "classification"
    ignore_index: Annotated[int, Field(ge=-1, le=2**16 - 1)] = 255

    @model_validator(mode="after")
    def _ignores_pixels(self) -> Self:
        if self.kind != "dense" and "ignore_index" in self.model_fields_set:
            raise ValueError('ignore_index is of kind = "dense" alone: leave it out')
        return self
