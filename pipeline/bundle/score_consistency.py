"""What is said of a stage's accuracy, against itself and against what is said of the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from pipeline.core.intervals import wilson_interval

if TYPE_CHECKING:
    from pipeline.bundle.manifest import Manifest
    from pipeline.bundle.stated_score import Score

#: Shares are written with six decimals.
ROUNDING = 1e-6


def score_contradictions(title: str, score: Score, manifest: Manifest) -> Iterator[str]:
    """A score against itself and against those of other stages."""
    if score.images != manifest.stages[0].accuracy.images:
        yield f"{title}: accuracy on another number of images than that of stage 0"
    if manifest.evaluation.count > score.images:
        yield f"{title}: fewer test images than evaluation images"
    if manifest.model.judged_by == "embedding":
        yield from _outside(title, score)
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
    labels = len(manifest.model.labels)
    if not _of_all(score.recall, labels):
        yield f"{title}: {len(score.recall)} recalls for {labels} labels"
    elif not _is_mean(balanced, score.recall):
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
        if abs(value - computed) > ROUNDING:
            given = f"{correct} of {counted} give {computed:g}"
            yield f"{title}: {name} is {value:g}, but {given}"


def _overlap(title: str, score: Score, manifest: Manifest) -> Iterator[str]:
    """Of label maps: the interval around the accuracy, and intersection over union."""
    yield from _outside(title, score)
    labels = len(manifest.model.labels)
    if not _of_all(score.iou, labels) or score.mean_iou is None:
        yield f"{title}: {len(score.iou)} overlaps for {labels} labels"
    elif not _is_mean(score.mean_iou, score.iou):
        yield f"{title}: a mean IoU of {score.mean_iou}, which is not its overlaps' mean"


def _outside(title: str, score: Score) -> Iterator[str]:
    """An accuracy that is not within its interval."""
    if not score.low - ROUNDING <= score.top1 <= score.high + ROUNDING:
        yield f"{title}: top1 is {score.top1:g}, outside of {score.low:g} to {score.high:g}"


def _of_all(shares: Sequence[float | None], labels: int) -> bool:
    """Whether there is a share for each label, and one at least of which something is known."""
    return len(shares) == labels and any(share is not None for share in shares)


def _is_mean(mean: float, shares: Sequence[float | None]) -> bool:
    known = [share for share in shares if share is not None]
    return abs(sum(known) / len(known) - mean) <= 2 * ROUNDING
