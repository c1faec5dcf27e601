"""What networks answer with, as the task wants it."""

from __future__ import annotations

from typing import Final

from torch import Tensor

from pipeline.core.errors import UsageError
from pipeline.settings import TaskKind

#: Axes of the answers to a batch, and how to give them.
_WANTED: Final[dict[TaskKind, tuple[int, str]]] = {
    "classification": (
        2,
        "let it return logits [n, classes]; a label for each pixel, [n, classes, height, width], "
        'is kind = "dense" in [task] of a profile',
    ),
    "embedding": (2, "let it return an embedding [n, width]"),
    "dense": (
        4,
        'kind = "dense" in [task] wants logits [n, classes, height, width]: let it return them, '
        "or leave the table out",
    ),
}


def require_answer(source: str, name: str, logits: Tensor, task: TaskKind) -> None:
    """Refuses what is no answer to the task.

    Args:
        source: how errors call the user's function.
        name: how they call the network.
        logits: what its classifier returns for some images.
        task: of the profile.

    Raises:
        UsageError: it is of another shape.
    """
    axes, remedy = _WANTED[task]
    if logits.dim() != axes:
        raise UsageError(
            f"{source}: the {name}'s classifier returns {list(logits.shape)} for "
            f"{len(logits)} images",
            remedy,
        )


def require_one_answer(source: str, teacher: Tensor, student: Tensor) -> tuple[int, ...]:
    """The shape of one answer, which has to be both networks'.

    Raises:
        UsageError: the student's is another.
    """
    if (found := tuple(teacher.shape[1:])) == tuple(student.shape[1:]):
        return found
    if teacher.dim() == 2:
        raise UsageError(
            f"{source}: the teacher gives {len(teacher[0])} logits and the "
            f"student {len(student[0])}",
            "give both one logit per label, or embeddings of one width; a teacher that was trained "
            'for other labels gets a new head: teacher = { head = "replace" } in [model]',
        )
    raise UsageError(
        f"{source}: the teacher answers {list(found)} and the student {list(student.shape[1:])} "
        "(classes, height, width)",
        "let both answer with maps of the same classes and size",
    )
