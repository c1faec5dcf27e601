"""What is said of a stage's accuracy, against itself and against what is said of the others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pipeline.core.intervals import wilson_interval

if TYPE_CHECKING:
    from pipeline.bundle.manifest import Manifest
    from pipeline.bundle.stated_score import Score

#: Shares are written with six decimals.
_ROUNDING = 1e-6


def score_contradictions(title: str, score: Score, manifest: Manifest) -> Iterator[str]:
    """A score against itself and against those of other stages."""
    if score.images != manifest.stages[0].accuracy.images:
        yield f"{title}: accuracy on another number of images than that of stage 0"
    if manifest.evaluation.count > score.images:
        yield f"{title}: fewer test images than evaluation images"
    if manifest.model.judged_by == "embedding":
        if not score.low - _ROUNDING <= score.top1 <= score.high + _ROUNDING:
            yield f"{title}: top1 is {score.top1:g}, outside of {score.low:g} to {score.high:g}"
        if score.correct is not None or score.recall or score.balanced is not None:
            yield f"{title}: embeddings are neither right nor wrong"
    elif score.correct is None or score.balanced is None:
        yield f"{title}: nothing is said of what is right"
    else:
        yield from _shares(title, score, score.correct, score.balanced, manifest)


def _shares(
    title: str, score: Score, correct: int, balanced: float, manifest: Manifest
) -> Iterator[str]:
    """What is right, of labels of images or of pixels."""
    known = [share for share in score.recall if share is not None]
    if len(score.recall) != len(manifest.model.labels) or not known:
        yield f"{title}: {len(score.recall)} recalls for {len(manifest.model.labels)} labels"
    elif abs(sum(known) / len(known) - balanced) > 2 * _ROUNDING:
        yield f"{title}: a balanced accuracy of {balanced}, which is not its recalls' mean"
    counted = score.pixels or score.images
    if (score.pixels is None) != (manifest.model.output is None):
        yield f"{title}: not judged as what the model answers with is"
    if correct > counted:
        yield f"{title}: {correct} of {counted} images correct"
        return
    expected = [("top1", score.top1, correct / counted)]
    if score.pixels is None:
        low, high = wilson_interval(correct, score.images)
        expected += [("low", score.low, low), ("high", score.high, high)]
    else:
        yield from _overlap(title, score, manifest)
    for name, value, computed in expected:
        if abs(value - computed) > _ROUNDING:
            given = f"{correct} of {counted} give {computed:g}"
            yield f"{title}: {name} is {value:g}, but {given}"


def _overlap(title: str, score: Score, manifest: Manifest) -> Iterator[str]:
    """Of label maps: the interval around the accuracy, and intersection over union."""
    if not score.low - _ROUNDING <= score.top1 <= score.high + _ROUNDING:
        yield f"{title}: top1 is {score.top1:g}, outside of {score.low:g} to {score.high:g}"
    known = [share for share in score.iou if share is not None]
    if len(score.iou) != len(manifest.model.labels) or not known or score.mean_iou is None:
        yield f"{title}: {len(score.iou)} overlaps for {len(manifest.model.labels)} labels"
    elif abs(sum(known) / len(known) - score.mean_iou) > 2 * _ROUNDING:
        yield f"{title}: a mean IoU of {score.mean_iou}, which is not its overlaps' mean"
