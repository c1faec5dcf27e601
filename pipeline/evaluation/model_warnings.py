"""What speaks against a model although everything ran: the warnings that travel with a bundle."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

from pipeline.core.intervals import paired_difference
from pipeline.core.toml_file import Section

if TYPE_CHECKING:  # manifests hold warnings, and are read without numpy and torch
    import numpy as np
    import numpy.typing as npt

    from pipeline.data.images import Dataset
    from pipeline.evaluation.predictions import EvaluatedModel
    from pipeline.model.route import Route


class ModelWarning(Section):
    """Something that a person should look at before the model ships.

    Attributes:
        kind: ``teacher``: it is no better than always answering the largest class, or its head was
            replaced and not trained; ``worse-stage``: less accurate than one before it by more than
            the uncertainty; ``one-class``: a stage that always answers the same; ``chance``:
            balanced accuracy no better than that; ``normalization``: of a model that came trained,
            not stated; ``data``: some images.
        text: a sentence or two.
    """

    kind: Literal["teacher", "worse-stage", "one-class", "chance", "normalization", "data"]
    text: str


def model_warnings(
    found: EvaluatedModel, routes: Sequence[Route], pretrained: str | None
) -> tuple[ModelWarning, ...]:
    """All that speaks against a model.

    Args:
        found: the model, evaluated on the test images along these routes at least.
        routes: the stages that ship, the teacher last.
        pretrained: what its teacher's weights come from, if it was not trained here.
    """
    found = found.along(routes)
    dataset = found.dataset
    warnings = [ModelWarning(kind="data", text=note) for note in dataset.notes]
    if pretrained is not None and not dataset.stated_by:
        text = _assumed(pretrained, dataset)
        warnings.append(ModelWarning(kind="normalization", text=text))
    warnings += stage_warnings(
        [str(route) for route in routes], found.predictions, dataset.test.labels, dataset.names
    )
    return tuple(warnings)


def stage_warnings(
    routes: Sequence[str],
    predictions: npt.NDArray[np.uint16],
    labels: npt.NDArray[np.int64],
    names: Sequence[str],
) -> list[ModelWarning]:
    """What speaks against some stages.

    Args:
        routes: of the stages, the teacher last.
        predictions: ``[stages, n]``.
        labels: ``[n]``.
        names: of the labels.
    """
    titles = [f"stage {index} ({route})" for index, route in enumerate(routes)]
    correct = predictions == labels
    return [
        *_teacher(titles[-1], correct[-1], labels, names),
        *_worse(titles, correct),
        *_one_class(titles, predictions, labels, names),
        *_chance(titles, predictions, labels, len(names)),
    ]


def _assumed(pretrained: str, dataset: Dataset) -> str:
    return (
        f"{pretrained} came trained, and neither it nor the profile states how its images were "
        f"normalized: {dataset.normalization} of this data's training images was taken, which may "
        "cost accuracy; set mean and std in [data] to those that it was trained with"
    )


def _teacher(
    title: str, correct: npt.NDArray[np.bool_], labels: npt.NDArray[np.int64], names: Sequence[str]
) -> Iterator[ModelWarning]:
    import numpy as np

    largest = int(np.bincount(labels).argmax())
    _, low, _ = paired_difference(labels == largest, correct)
    if low > 0:
        return
    yield ModelWarning(
        kind="teacher",
        text=f"the teacher, {title}, is no better than always answering {names[largest]!r}, the "
        f"largest class: right on {correct.mean():.2%} and {(labels == largest).mean():.2%} of "
        f"{len(labels):,} test images; were its weights read whole, and for these labels?",
    )


def _worse(titles: Sequence[str], correct: npt.NDArray[np.bool_]) -> Iterator[ModelWarning]:
    """Of the final stage against all before it; of the others against the one before."""
    last = len(titles) - 1
    for index in range(1, len(titles)):
        before = range(index) if index == last else [index - 1]
        best = max(before, key=lambda earlier: float(correct[earlier].mean()))
        difference, _, high = paired_difference(correct[best], correct[index])
        if high < 0:
            final = "the final stage, " if index == last else ""
            yield ModelWarning(
                kind="worse-stage",
                text=f"{final}{titles[index]}, is less accurate than {titles[best]} by "
                f"{-100 * difference:.1f} points, at least {-100 * high:.1f}: "
                f"{correct[index].mean():.2%} after {correct[best].mean():.2%}",
            )


def _one_class(
    titles: Sequence[str],
    predictions: npt.NDArray[np.uint16],
    labels: npt.NDArray[np.int64],
    names: Sequence[str],
) -> Iterator[ModelWarning]:
    if _of_one_class(labels):
        yield ModelWarning(
            kind="one-class",
            text=f"all test images are of one class, {names[int(labels[0])]!r}: accuracy on them "
            "says nothing",
        )
        return
    for title, row in zip(titles, predictions, strict=True):
        if len(row) > 1 and (row == row[0]).all():
            yield ModelWarning(
                kind="one-class",
                text=f"{title} answers {_name(names, int(row[0]))} to all {len(row):,} test images",
            )


def _chance(
    titles: Sequence[str],
    predictions: npt.NDArray[np.uint16],
    labels: npt.NDArray[np.int64],
    classes: int,
) -> Iterator[ModelWarning]:
    from pipeline.evaluation.class_scores import ClassScores

    if _of_one_class(labels):
        return
    for title, row in zip(titles, predictions, strict=True):
        scores = ClassScores.of(row, labels, classes)
        if scores.at_chance:
            yield ModelWarning(
                kind="chance",
                text=f"{title} has a balanced accuracy of {scores.balanced:.2%} "
                f"[{100 * scores.low:.1f}-{100 * scores.high:.1f}]: no better than chance, "
                f"{scores.chance:.2%}",
            )


def _of_one_class(labels: npt.NDArray[np.int64]) -> bool:
    return bool((labels == labels[0]).all())


def _name(names: Sequence[str], label: int) -> str:
    return repr(names[label]) if label < len(names) else f"label {label}"
