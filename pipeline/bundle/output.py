"""What the last program of every stage writes, where it is no logit for each label."""

from __future__ import annotations

from typing import Literal

from pipeline.bundle.artifact import Edge
from pipeline.core.toml_file import Section

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
