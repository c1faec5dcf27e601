"""What a source gives: a user's function is called, a model of a library is read."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
from torch import nn

from pipeline.core.progress import Progress
from pipeline.core.random_state import own_random_numbers
from pipeline.ingest.function import FunctionSource
from pipeline.ingest.new_head import with_new_head
from pipeline.ingest.own_parts import ImageShape, stated_model
from pipeline.ingest.probe import user_code
from pipeline.ingest.python import OwnModel
from pipeline.ingest.tokens import model_of_tokens, reading_tokens, vocabulary_of
from pipeline.ingest.torchvision_names import with_torchvision
from pipeline.settings import OwnStudent, SourceModel, TaskKind


def called(
    source: SourceModel,
    images: ImageShape | None,
    progress: Progress,
    classes: Callable[[], int] | None = None,
    tokens: Callable[[], int | None] | None = None,
    task: TaskKind | None = None,
) -> OwnModel:
    """What a source of networks gives, its teacher with the head that ``[model.teacher]`` wants.

    Args:
        source: the ``[model]`` table.
        images: asked for channels, height and width where the source gives a network alone.
        progress: told what is to be known about weights that are read.
        classes: asked for the number of labels where the head is replaced.
        tokens: asked how many different ones the data has, if it has any, where the source gives a
            network alone.
        task: what a library's model is to answer; None: what its files say that it does.

    Raises:
        UsageError: there is no such source, it fails, or it gives something else.
    """
    if source.kind == "transformers":
        from pipeline.ingest.zoo.transformers_model import transformers_model

        given = transformers_model(source.place, images, progress, task)
    elif source.kind == "timm":
        from pipeline.ingest.zoo.timm_model import timm_model

        given = timm_model(source.place, images, progress, task)
    else:
        returned = _called(source.source, source.place)
        stated = stated_model(source.source, returned, images)
        if isinstance(returned, nn.Module) and tokens is not None and (used := tokens()):
            stated = replace(stated, vocabulary=vocabulary_of(returned, used))
        given = model_of_tokens(source.source, stated)
    if source.teacher.head == "replace" and classes is not None:
        return with_new_head(source.source, given, classes())
    return given


def called_student(student: OwnStudent, vocabulary: int | None = None) -> object:
    """The network that the function of ``[model.student]`` gives.

    Args:
        student: that table.
        vocabulary: of the tokens that the teacher reads, if it reads any.

    Raises:
        UsageError: there is no such function, or it fails.
    """
    return reading_tokens(_called(student.origin, student.place), vocabulary)


def functions_of(source: SourceModel) -> Sequence[FunctionSource]:
    """The user's functions that have a part in a model, or none."""
    places = [source.place] if source.kind == "python" else []
    if isinstance(source.student, OwnStudent):
        places.append(source.student.place)
    return [FunctionSource.parse(place) for place in places]


def _called(source: str, place: str) -> object:
    with user_code(source, "the function"):
        return with_torchvision(lambda: FunctionSource.parse(place).load()())


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Random numbers that start from a seed; the caller's are then where they were."""
    random_before, numpys = random.getstate(), np.random.get_state()
    with own_random_numbers(seed):
        random.seed(seed)
        np.random.seed(seed % 2**32)
        try:
            yield
        finally:
            random.setstate(random_before)
            np.random.set_state(numpys)
