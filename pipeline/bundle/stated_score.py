"""How accurate a stage or an arm is said to be."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from pipeline.core.toml_file import SparseSection
from pipeline.settings.quantities import Cosine, Share


class Score(SparseSection):
    """Top-1 accuracy with its 95 % interval, Wilson's, and the same class by class.

    Where pixels are labeled they are what is counted, and the interval is by images: neighbors err
    together.

    Attributes:
        correct: images labeled rightly, or pixels; missing of embeddings, as are shares by label.
        images: images evaluated.
        top1: the share that is right, of images or of labeled pixels; of embeddings the mean cosine
            to the teacher's.
        low: lower end of its interval.
        high: upper end.
        balanced: the mean of all recalls, which large classes do not outweigh.
        recall: per label the share of its images, or pixels, that are labeled rightly; null where
            it has none.
        agreement: of quantized programs: the share of the images, or of labeled pixels, to which
            they give the label that eager PyTorch gives; of embeddings their mean cosine to eager
            PyTorch's.
        pixels: labeled pixels of all images, where pixels are labeled.
        iou: then per label intersection over union; null where it is nowhere, nor given.
        mean_iou: their mean.
    """

    correct: Annotated[int, Field(ge=0)] | None = None
    images: Annotated[int, Field(ge=1)]
    top1: Cosine
    low: Cosine
    high: Cosine
    balanced: Share | None = None
    recall: tuple[Share | None, ...] = ()
    agreement: Cosine | None = None
    pixels: Annotated[int, Field(ge=1)] | None = None
    iou: tuple[Share | None, ...] = ()
    mean_iou: Share | None = None
