"""What the files of a bundle that are no programs hold, against what its manifest says of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pipeline.bundle.artifact import FileEntry
from pipeline.bundle.loading_plan import loading_plan_of
from pipeline.bundle.manifest import Manifest


def content_problems(root: Path, manifest: Manifest) -> Iterator[str]:
    """Everything in those files that cannot be right, a line each.

    Args:
        root: folder of a bundle whose files have the sizes and sha256 that its manifest states.
        manifest: free of contradictions.
    """
    import numpy as np

    if (root / manifest.loading_plan.path).read_bytes() != loading_plan_of(manifest).encode():
        yield f"{manifest.loading_plan.path}: it says something else than the manifest"
    golden, evaluation = manifest.golden, manifest.evaluation
    for entry in (golden.inputs, *golden.outputs):
        if not np.isfinite(np.fromfile(root / entry.path, "<f4")).all():
            yield f"{entry.path}: some values are not finite"
    classes = len(manifest.model.labels)

    def numbers(entry: FileEntry, kind: str, rows: int) -> Iterator[str]:
        values = np.fromfile(root / entry.path, "<u2").reshape(rows, evaluation.count)
        for row, image in np.argwhere(values >= classes)[:1]:
            where = f"stage {row}, image {image}" if rows > 1 else f"image {image}"
            found = values[row, image]
            yield f"{entry.path}: {where}: {kind} {found}, but there are {classes} labels"

    yield from numbers(evaluation.labels, "label", 1)
    yield from numbers(evaluation.predictions, "prediction", len(manifest.stages))
    labels = np.fromfile(root / evaluation.labels.path, "<u2")
    predictions = np.fromfile(root / evaluation.predictions.path, "<u2")
    rows = predictions.reshape(len(manifest.stages), evaluation.count)
    for stage, (row, stated) in enumerate(zip(rows, evaluation.correct, strict=True)):
        if (found := int((row == labels).sum())) != stated:
            yield f"{evaluation.predictions.path}: stage {stage}: {found} correct, not {stated}"
