"""A teacher's embeddings as the labels of data: what a student is to give, too."""

from __future__ import annotations

from dataclasses import replace

import torch

from pipeline.core.errors import IntegrityError
from pipeline.data.batches import batches_of_inputs
from pipeline.data.images import Dataset, ImageSet
from pipeline.data.tensors import InputRule
from pipeline.model.blocknet import BlockNet


def labeled_by(teacher: BlockNet, dataset: Dataset) -> Dataset:
    """The same data with the teacher's embeddings, float32 ``[n, width]``, as labels.

    Args:
        teacher: in eval mode; it is not trained.
        dataset: whose labels mean nothing.

    Raises:
        IntegrityError: some embeddings hold NaN or infinity, or nothing but zeros.
    """
    train, test = (_embedded(teacher, part, dataset) for part in (dataset.train, dataset.test))
    held_out = dataset.held_out and _embedded(teacher, dataset.held_out, dataset)
    names = tuple(str(place) for place in range(train.labels.shape[1]))
    return replace(dataset, train=train, test=test, held_out=held_out, names=names)


@torch.no_grad()
def _embedded(teacher: BlockNet, images: ImageSet, dataset: Dataset) -> ImageSet:
    rule: InputRule = dataset.normalization
    inputs = rule.inputs(images.images)
    parts = batches_of_inputs(len(images), images.images.shape[1:])
    answers = torch.cat([teacher(inputs[part]) for part in parts])
    good = answers.isfinite().all(dim=1) & (answers != 0).any(dim=1)
    if lost := int((~good).sum()):
        raise IntegrityError(
            f"the teacher gives {lost} of {len(answers)} images no embedding: NaN, infinity or "
            "nothing but zeros, to which no cosine is",
            "see whether its weights were read whole",
        )
    return ImageSet(images.images, answers.numpy())
