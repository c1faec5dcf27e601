"""What speaks against a model although everything ran: the warnings that travel with a bundle."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

from pipeline.core.toml_file import Section
from pipeline.settings import TaskMetric

if TYPE_CHECKING:  # manifests hold warnings, and are read without numpy and torch
    from pipeline.data.images import Dataset
    from pipeline.data.label_maps import Labels
    from pipeline.evaluation.label_scores import Scores
    from pipeline.evaluation.predictions import EvaluatedModel
    from pipeline.model.route import Route


#: The cosine of two embeddings between which there is nothing but rounding.
_ALIKE = 1 - 1e-6


class ModelWarning(Section):
    """Something that a person should look at before the model ships.

    Attributes:
        kind: ``teacher``: it is no better than always answering the largest class, or its head was
            replaced and not trained; ``worse-stage``: less accurate than one before it by more than
            the uncertainty; ``one-class``: a stage that always answers the same, a label or
            embeddings of one direction; ``chance``:
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
    predictions: Labels,
    labels: Labels,
    names: Sequence[str],
) -> list[ModelWarning]:
    """What speaks against some stages.

    Args:
        routes: of the stages, the teacher last.
        predictions: ``[stages, n]``, label maps ``[stages, n, height, width]``, or embeddings
            ``[stages, n, width]``.
        labels: ``[n]``, ``[n, height, width]``, or the teacher's embeddings ``[n, width]``.
        names: of the labels.
    """
    titles = [f"stage {index} ({route})" for index, route in enumerate(routes)]
    from pipeline.data.label_maps import are_embeddings, metric_of_labels
    from pipeline.evaluation.label_scores import label_scores

    scores = [label_scores(row, labels) for row in predictions]
    metric = metric_of_labels(labels)
    if are_embeddings(labels):  # embeddings, the teacher's being what is wanted
        return [*_worse(titles, scores, metric), *_one_direction(titles, predictions)]
    return [
        *_teacher(titles[-1], scores[-1], labels, names),
        *_worse(titles, scores, metric),
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
    title: str, scores: Scores, labels: Labels, names: Sequence[str]
) -> Iterator[ModelWarning]:
    import numpy as np

    from pipeline.data.label_maps import known_labels
    from pipeline.evaluation.label_scores import label_scores, score_difference

    largest = int(np.bincount(known_labels(labels)).argmax())
    always = label_scores(np.full_like(labels, largest), labels)
    _, low, _ = score_difference(always, scores)
    if low > 0:
        return
    of = "" if labels.ndim == 1 else "the labeled pixels of "
    yield ModelWarning(
        kind="teacher",
        text=f"the teacher, {title}, is no better than always answering {names[largest]!r}, the "
        f"largest class: right on {scores.mean():.2%} and {always.mean():.2%} of {of}"
        f"{len(labels):,} test images; were its weights read whole, and for these labels?",
    )


def _worse(
    titles: Sequence[str], scores: Sequence[Scores], metric: TaskMetric
) -> Iterator[ModelWarning]:
    """Of the final stage against all before it; of the others against the one before."""
    from pipeline.evaluation.label_scores import score_difference

    last = len(titles) - 1
    for index in range(1, len(titles)):
        before = range(index) if index == last else [index - 1]
        best = max(before, key=lambda earlier: float(scores[earlier].mean()))
        difference, _, high = score_difference(scores[best], scores[index])
        if high < 0:
            final = "the final stage, " if index == last else ""
            after, before_it = (metric.value(float(scores[each].mean())) for each in (index, best))
            yield ModelWarning(
                kind="worse-stage",
                text=f"{final}{titles[index]}, is {metric.worse} than {titles[best]} by "
                f"{metric.loss(difference)}, at least {metric.loss(high, unit=False)}: "
                f"{after} after {before_it}",
            )


def _one_class(
    titles: Sequence[str],
    predictions: Labels,
    labels: Labels,
    names: Sequence[str],
) -> Iterator[ModelWarning]:
    from pipeline.data.label_maps import known_labels

    if _of_one_class(labels):
        name = names[int(known_labels(labels)[0])]
        yield ModelWarning(
            kind="one-class",
            text=f"all test images are of one class, {name!r}: accuracy on them says nothing",
        )
        return
    for title, row in zip(titles, predictions, strict=True):
        if len(row) > 1 and (row == row.flat[0]).all():
            name = _name(names, int(row.flat[0]))
            yield ModelWarning(
                kind="one-class", text=f"{title} answers {name} to all {len(row):,} test images"
            )


def _one_direction(titles: Sequence[str], predictions: Labels) -> Iterator[ModelWarning]:
    """Of embeddings: a student that learns such ones is as near to its teacher as can be."""
    from pipeline.evaluation.label_scores import cosines

    for title, row in zip(titles, predictions, strict=True):
        if len(row) > 1 and cosines(row, row[:1]).min() >= _ALIKE:
            yield ModelWarning(
                kind="one-class",
                text=f"{title} gives all {len(row):,} test images embeddings of one direction: "
                "they tell none of them apart",
            )


def _chance(
    titles: Sequence[str],
    predictions: Labels,
    labels: Labels,
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


def _of_one_class(labels: Labels) -> bool:
    from pipeline.data.label_maps import known_labels

    known = known_labels(labels)
    return bool((known == known[0]).all())


def _name(names: Sequence[str], label: int) -> str:
    return repr(names[label]) if label < len(names) else f"label {label}"
