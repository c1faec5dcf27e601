"""What the files of a bundle that are no programs hold, against what its manifest says of it."""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Iterator
from operator import eq, mul
from pathlib import Path
from typing import Any, Literal

from pipeline.bundle.artifact import FileEntry
from pipeline.bundle.loading_plan import loading_plan_of
from pipeline.bundle.manifest import Manifest
from pipeline.bundle.score_consistency import ROUNDING
from pipeline.settings import IGNORED


def content_problems(root: Path, manifest: Manifest) -> Iterator[str]:
    """Everything in those files that cannot be right, a line each.

    Args:
        root: folder of a bundle whose files have the sizes and sha256 that its manifest states.
        manifest: free of contradictions.
    """
    if (root / manifest.loading_plan.path).read_bytes() != loading_plan_of(manifest).encode():
        yield f"{manifest.loading_plan.path}: it says something else than the manifest"
    golden, evaluation = manifest.golden, manifest.evaluation
    floats = [golden.inputs, *golden.outputs]
    floats += [evaluation.images] if manifest.input.kind != "image" else []
    for entry in floats:
        yield from _not_finite(entry, _values(root / entry.path, "f"))
    embeds = manifest.model.judged_by == "embedding"
    yield from (_embeddings if embeds else _labels)(root, manifest)


def _not_finite(entry: FileEntry, values: array[Any]) -> Iterator[str]:
    # A sum of float32 values in float64 is finite where all of them are, and nowhere else.
    if not math.isfinite(sum(values)):
        yield f"{entry.path}: some values are not finite"


def _embeddings(root: Path, manifest: Manifest) -> Iterator[str]:
    """What is wrong with the embeddings of the teacher and of stages; each file is read once."""
    evaluation = manifest.evaluation
    teachers = _values(root / evaluation.labels.path, "f")
    given = _values(root / evaluation.predictions.path, "f")
    lost = [
        *_not_finite(evaluation.labels, teachers),
        *_not_finite(evaluation.predictions, given),
    ]
    yield from lost or _cosines(manifest, teachers, given)


def _cosines(manifest: Manifest, teachers: array[Any], given: array[Any]) -> Iterator[str]:
    """Stages whose embeddings are not as near to the teacher's as is said of them.

    What the evaluation images lack to a cosine of 1, all test images lack at least.
    """
    evaluation, (width,) = manifest.evaluation, manifest.model.label_shape
    targets = [(row, math.hypot(*row)) for row in _rows(teachers, width)]
    answers = _rows(given, width)
    for stage in manifest.stages:
        stated, first = stage.accuracy, stage.index * evaluation.count
        rows = zip(answers[first : first + evaluation.count], targets, strict=True)
        lacks = math.fsum(1 - _cosine(answer, *target) for answer, target in rows)
        most = stated.images * (1 - stated.top1 + 2 * ROUNDING)
        least = stated.images * (1 - stated.top1 - 2 * ROUNDING)
        if lacks > most or (evaluation.count == stated.images and lacks < least):
            yield (
                f"{evaluation.predictions.path}: stage {stage.index}: a mean cosine of "
                f"{1 - lacks / evaluation.count:.6f} to {evaluation.labels.path}, but "
                f"{stated.top1:.6f} is said of all {stated.images} test images"
            )


def _rows(values: array[Any], width: int) -> list[array[Any]]:
    return [values[first : first + width] for first in range(0, len(values), width)]


def _cosine(answer: array[Any], target: array[Any], length: float) -> float:
    """As `pipeline.evaluation.label_scores.cosines`, without numpy; `length` is the target's."""
    lengths = math.hypot(*answer) * length
    if lengths == 0:
        return float(not any(answer) and not any(target))
    product: float = sum(map(mul, answer, target))
    return product / lengths


def _labels(root: Path, manifest: Manifest) -> Iterator[str]:
    """What is wrong with labels and predictions, of images or of pixels."""
    evaluation = manifest.evaluation
    model, classes = manifest.model, len(manifest.model.labels)
    code: Literal["H", "B"] = "H" if model.judged_by == "label" else "B"
    labels = _values(root / evaluation.labels.path, code)
    predictions = _values(root / evaluation.predictions.path, code)
    pixels = math.prod(model.label_shape)
    ignored = IGNORED if model.judged_by == "dense" else None
    if (found := _unknown(labels, classes, ignored)) is not None:
        where = f"image {found // pixels}: label {labels[found]}"
        yield f"{evaluation.labels.path}: {where}, {_few(classes)}"
    if (found := _unknown(predictions, classes)) is not None:
        stage, place = divmod(found, len(labels))
        where = f"image {place // pixels}: prediction {predictions[found]}"
        yield f"{evaluation.predictions.path}: stage {stage}, {where}, {_few(classes)}"
    for stage, stated in enumerate(evaluation.correct):
        row = predictions[stage * len(labels) : (stage + 1) * len(labels)]
        if (found := sum(map(eq, row, labels))) != stated:
            yield f"{evaluation.predictions.path}: stage {stage}: {found} correct, not {stated}"


def _values(path: Path, code: Literal["f", "H", "B"]) -> array[Any]:
    """The float32, uint16 or uint8 values of a file, little endian, without numpy."""
    values = array(code, path.read_bytes())
    if sys.byteorder == "big":
        values.byteswap()
    return values


def _unknown(values: array[int], classes: int, ignored: int | None = None) -> int | None:
    """The place of the first value that is the index of no label; None where all are."""
    strange = {value for value in set(values) if value >= classes and value != ignored}
    if not strange:
        return None
    return next(place for place, value in enumerate(values) if value in strange)


def _few(classes: int) -> str:
    return f"but there are {classes} labels"
