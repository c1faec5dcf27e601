"""What the files of a bundle that are no programs hold, against what its manifest says of it."""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Iterator
from operator import eq, mul
from pathlib import Path
from typing import Any, Literal

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
    embeds = manifest.model.judged_by == "embedding"
    floats += [evaluation.labels, evaluation.predictions] if embeds else []
    for entry in floats:
        # A sum of float32 values in float64 is finite where all of them are, and nowhere else.
        if not math.isfinite(sum(_values(root / entry.path, "f"))):
            yield f"{entry.path}: some values are not finite"
    yield from (_cosines if embeds else _labels)(root, manifest)


def _cosines(root: Path, manifest: Manifest) -> Iterator[str]:
    """Stages whose embeddings are not as near to the teacher's as is said of them.

    What the evaluation images lack to a cosine of 1, all test images lack at least.
    """
    evaluation, (width,) = manifest.evaluation, manifest.model.label_shape
    teachers = _rows(_values(root / evaluation.labels.path, "f"), width)
    given = _rows(_values(root / evaluation.predictions.path, "f"), width)
    for stage in manifest.stages:
        stated, first = stage.accuracy, stage.index * evaluation.count
        rows = zip(given[first : first + evaluation.count], teachers, strict=True)
        lacks = math.fsum(1 - _cosine(one, other) for one, other in rows)
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


def _cosine(one: array[Any], other: array[Any]) -> float:
    """As `pipeline.evaluation.label_scores.cosines`, without numpy."""
    lengths = math.hypot(*one) * math.hypot(*other)
    if lengths == 0:
        return float(not any(one) and not any(other))
    product: float = sum(map(mul, one, other))
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
