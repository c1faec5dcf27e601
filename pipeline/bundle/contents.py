"""What the files of a bundle that are no programs hold, against what its manifest says of it."""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Iterator
from operator import eq
from pathlib import Path
from typing import Any, Literal

from pipeline.bundle.loading_plan import loading_plan_of
from pipeline.bundle.manifest import Manifest


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
        # A sum of float32 values in float64 is finite where all of them are, and nowhere else.
        if not math.isfinite(sum(_values(root / entry.path, "f"))):
            yield f"{entry.path}: some values are not finite"
    labels = _values(root / evaluation.labels.path, "H")
    predictions = _values(root / evaluation.predictions.path, "H")
    classes, stages = len(manifest.model.labels), len(manifest.stages)
    yield from _unknown(evaluation.labels.path, "label", labels, 1, classes)
    yield from _unknown(evaluation.predictions.path, "prediction", predictions, stages, classes)
    for stage, stated in enumerate(evaluation.correct):
        row = predictions[stage * evaluation.count : (stage + 1) * evaluation.count]
        if (found := sum(map(eq, row, labels))) != stated:
            yield f"{evaluation.predictions.path}: stage {stage}: {found} correct, not {stated}"


def _values(path: Path, code: Literal["f", "H"]) -> array[Any]:
    """The float32 or uint16 values of a file, little endian, without importing numpy for them."""
    values = array(code, path.read_bytes())
    if sys.byteorder == "big":
        values.byteswap()
    return values


def _unknown(path: str, kind: str, values: array[int], rows: int, classes: int) -> Iterator[str]:
    """The first of ``[rows, images]`` values that is the index of no label."""
    for place, value in enumerate(values):
        if value >= classes:
            row, image = divmod(place, len(values) // rows)
            where = f"stage {row}, image {image}" if rows > 1 else f"image {image}"
            yield f"{path}: {where}: {kind} {value}, but there are {classes} labels"
            return
