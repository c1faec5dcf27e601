"""How accurate stages and control arms are: by eager PyTorch, or by programs that are quantized."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.bundle.score import score_of
from pipeline.bundle.stated_score import Score
from pipeline.core.errors import IntegrityError
from pipeline.core.work import Work
from pipeline.evaluation.predictions import EvaluatedModel
from pipeline.lowering.labels import labels_of
from pipeline.lowering.lower import LoweredModel
from pipeline.lowering.lowering_target import LoweringTarget
from pipeline.model.route import Route
from pipeline.settings import PLAIN, PrecisionSettings


def stage_scores(evaluated: EvaluatedModel, lowered: LoweredModel) -> dict[Route, Score]:
    """The accuracy of every stage on the test images.

    Args:
        evaluated: along all stages, by their programs where some of these are quantized.
        lowered: the stages and their programs.
    """
    found: dict[Route, Score] = {}
    for stage in lowered.stages:
        plain = all(lowered.artifacts[unit].precision == PLAIN for unit in stage.units)
        row = list(evaluated.routes).index(stage.route)
        eager = None if plain or evaluated.eager is None else evaluated.eager[row]
        labels, classes = evaluated.dataset.test.labels, len(evaluated.dataset.names)
        found[stage.route] = score_of(evaluated.predictions[row], labels, classes, eager)
    return found


def arm_scores(
    evaluated: EvaluatedModel, lowered: LoweredModel, target: LoweringTarget, work: Work
) -> dict[str, Score]:
    """The accuracy of every control arm on the test images, by its name.

    Raises:
        IntegrityError: logits of a quantized program hold NaN or infinity.
    """
    dataset = evaluated.dataset
    chains = {
        arm.spec.name: [arm.artifact] for arm in lowered.arms if arm.artifact.precision != PLAIN
    }
    own = labels_of(chains, dataset.test, dataset.normalization, target, work)
    found: dict[str, Score] = {}
    for arm in lowered.arms:
        rows = evaluated.predictions if evaluated.eager is None else evaluated.eager
        eager = rows[list(evaluated.routes).index(arm.spec.route)]
        labels, classes = dataset.test.labels, len(dataset.names)
        if (row := own.get(arm.spec.name)) is None:
            found[arm.spec.name] = score_of(eager, labels, classes)
        else:
            found[arm.spec.name] = score_of(row, labels, classes, eager)
    return found


def require_agreement(
    settings: PrecisionSettings, stages: Mapping[Route, Score], arms: Mapping[str, Score]
) -> None:
    """Refuses quantized programs that answer too many test images otherwise than eager PyTorch.

    Raises:
        IntegrityError: names all of them.
    """
    scores = {f"stage {route}": score for route, score in stages.items()}
    scores |= {f"arm {name}": score for name, score in arms.items()}
    problems = [
        f"{name} {_agreement(score, score.agreement)}"
        for name, score in scores.items()
        if score.agreement is not None and score.agreement < settings.least_agreement
    ]
    if problems:
        raise IntegrityError(
            f"quantized, {'; '.join(problems)}: less than [lowering.precision] least_agreement = "
            f"{settings.least_agreement:g}",
            'give some blocks "fp32", calibrate on more images, or ask for less; no bundle was '
            "written",
        )


def _agreement(score: Score, agreement: float) -> str:
    """How far a score's programs agree with eager PyTorch, in words."""
    if score.correct is None:
        return (
            f"gives {score.images:,} test images embeddings whose mean cosine to eager PyTorch's "
            f"is {agreement:.4f}"
        )
    what = "test images" if score.pixels is None else "labeled pixels"
    return (
        f"labels {agreement:.2%} of {score.pixels or score.images:,} {what} as eager PyTorch does"
    )
