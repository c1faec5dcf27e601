"""A teacher's embeddings as the labels of data: what a student is to give, too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from pipeline.core.errors import IntegrityError
from pipeline.core.progress import Progress
from pipeline.data.batches import batches_of_inputs
from pipeline.data.images import Dataset, ImageSet
from pipeline.data.tensors import InputRule
from pipeline.model.blocknet import BlockNet
from pipeline.model.checkpoint import load_tensors, save_tensors

_TASK = "teacher's embeddings"


def labeled_by(
    teacher: BlockNet, dataset: Dataset, keep: Path | None, progress: Progress
) -> Dataset:
    """The same data with the teacher's embeddings, float32 ``[n, width]``, as labels.

    Args:
        teacher: in eval mode; it is not trained.
        dataset: whose labels mean nothing.
        keep: where they are kept, named by all that they are made of, and found the next time;
            None: nowhere.
        progress: told where the teacher is run.

    Raises:
        IntegrityError: some embeddings hold NaN or infinity, or all are zeros.
    """
    parts = {"train": dataset.train, "test": dataset.test}
    if dataset.held_out is not None:
        parts["held_out"] = dataset.held_out
    found = None if keep is None else _kept(keep, parts)
    if found is None:
        with progress.task(_TASK, total=len(parts)) as task:
            found = {}
            for name, images in parts.items():
                found[name] = _embeddings(teacher, images, dataset)
                task.advance(1)
        if keep is not None:
            save_tensors(keep, found, {})
    sets = {name: ImageSet(parts[name].images, found[name].numpy()) for name in parts}
    return replace(
        dataset,
        train=sets["train"],
        test=sets["test"],
        held_out=sets.get("held_out"),
        names=tuple(str(place) for place in range(found["train"].shape[1])),
    )


def _kept(file: Path, parts: Mapping[str, ImageSet]) -> dict[str, Tensor] | None:
    """What `labeled_by` kept; None to find it again."""
    try:
        found, _ = load_tensors(file)
    except IntegrityError:
        return None  # not there yet, or damaged
    asked = {name: len(images) for name, images in parts.items()}
    return found if {name: len(each) for name, each in found.items()} == asked else None


@torch.no_grad()
def _embeddings(teacher: BlockNet, images: ImageSet, dataset: Dataset) -> Tensor:
    rule: InputRule = dataset.normalization
    inputs = rule.inputs(images.images)
    parts = batches_of_inputs(len(images), images.images.shape[1:])
    answers = torch.cat([teacher(inputs[part]) for part in parts])
    if lost := int((~answers.isfinite().all(dim=1)).sum()):
        raise IntegrityError(
            f"the teacher gives {lost} of {len(answers)} images no embedding: NaN or infinity",
            "see whether its weights were read whole",
        )
    if not answers.any():
        raise IntegrityError(
            f"the teacher gives zeros to all {len(answers)} images, from which nothing is learned",
            "see whether its weights were read whole, and how its images have to be normalized",
        )
    return answers
