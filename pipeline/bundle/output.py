"""What the last program of every stage writes, where it is no logit for each label."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from pipeline.bundle.artifact import Edge
from pipeline.core.toml_file import Section
from pipeline.settings import TaskMetric, metric_of

#: What is compared of an answer: a label, or as `Output.kind`.
JudgedBy = Literal["label", "dense", "embedding"]


class Output(Section):
    """The answer to one input.

    Attributes:
        kind: ``dense``: logits for each pixel, those of one pixel beside each other;
            ``embedding``: a vector.
        edge: its shape, ``[1, height, width, classes]`` or ``[1, width]``, and layout.
        metric: what `Score.top1` and the accuracy of reports are: ``pixel_accuracy``, the share of
            labeled pixels whose largest logit is their label's; ``cosine``, the mean to the
            teacher's embeddings.
    """

    kind: Literal["dense", "embedding"] = "dense"
    edge: Edge
    metric: Literal["pixel_accuracy", "cosine"] = "pixel_accuracy"

    @model_validator(mode="after")
    def _is_of_its_kind(self) -> Self:
        if self.metric != (wanted := metric_of(self.kind).name):
            raise ValueError(f"metric is {self.metric}, but that of kind {self.kind} is {wanted}")
        return self


def metric_of_output(output: Output | None) -> TaskMetric:
    """What stages are judged by that write it; None: logits of labels."""
    return metric_of("classification" if output is None else output.kind)
