"""The least accuracy that a profile lets a bundle be written with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.core.errors import IntegrityError
from pipeline.settings import BundleSettings

if TYPE_CHECKING:
    from pipeline.evaluation.predictions import EvaluatedModel


def require_floors(settings: BundleSettings, evaluated: EvaluatedModel) -> None:
    """Holds the final stage against ``least_top1`` and ``least_balanced``.

    Args:
        settings: the ``[bundle]`` table.
        evaluated: the model, along the stages that ship; the whole test set counts.

    Raises:
        IntegrityError: the final stage is less accurate.
    """
    if settings.least_top1 is None and settings.least_balanced is None:
        return
    from pipeline.evaluation.accuracy import Accuracy
    from pipeline.evaluation.class_scores import ClassScores

    labels, final = evaluated.dataset.test.labels, evaluated.predictions[-1]
    found = {
        "least_top1": (
            settings.least_top1,
            "per-pixel" if evaluated.dataset.map_size else "top-1",
            Accuracy.of(final, labels).top1,
        ),
        "least_balanced": (
            settings.least_balanced,
            "balanced",
            ClassScores.of(final, labels, len(evaluated.dataset.names)).balanced,
        ),
    }
    problems = [
        f"{words} accuracy is {value:.2%}, less than [bundle] {key} = {least:g}"
        for key, (least, words, value) in found.items()
        if least is not None and value < least
    ]
    if problems:
        raise IntegrityError(
            f"the final stage ({evaluated.routes[-1]}) on {len(evaluated.dataset.test):,} test "
            "images, before anything was lowered: " + "; ".join(problems),
            "no bundle was written; look for weights that were not read, another normalization or "
            "other labels, train longer, or ask for less in [bundle]",
        )
